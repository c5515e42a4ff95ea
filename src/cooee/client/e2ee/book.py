"""The records in memory: bytes by kind, parsed when they are needed; and a page over them that may be dropped."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from cooee.client.e2ee import kinds
from cooee.client.e2ee.kinds import Key
from cooee.crypto.prekeys import KemPreKey, OneTimePreKey
from cooee.crypto.sender_key import OwnSenderKey, PeerSenderKeys
from cooee.crypto.session import SessionRecord
from cooee.domain.ids import DeviceRef

T = TypeVar("T")

PARSED_LIMIT = 2_000
"""Records of each kind of `_LAZY` that are kept in parsed form; the bytes of all others are enough."""
_LAZY = frozenset({"session", "peer", "prekey", "kem", "user", "tag", "said"})

_CORE: dict[str, Callable[[bytes], object]] = {
    "session": SessionRecord.load,
    "chain": OwnSenderKey.load,
    "peer": PeerSenderKeys.load,
    "prekey": OneTimePreKey.load,
    "kem": KemPreKey.load,
    "tag": bytes,
    "said": bytes,
}


class Book:
    """What was installed last."""

    def __init__(self, records: Mapping[Key, bytes]) -> None:
        self._bytes: dict[str, dict[str, bytes]] = {}
        self._parsed: dict[str, dict[str, object]] = {}
        self.versions: dict[str, int] = {}
        """How often records of a kind were changed."""
        for (kind, ident), data in records.items():
            self._bytes.setdefault(kind, {})[ident] = data

    def find(self, kind: str, ident: str) -> object | None:
        """Return a record, or None."""
        parsed = self._parsed.setdefault(kind, {})
        found = parsed.get(ident)
        if found is not None:
            return found
        data = self._bytes.get(kind, {}).get(ident)
        if data is None:
            return None
        core = _CORE.get(kind)
        value = kinds.load(kind, data) if core is None else core(data)
        self._keep(kind, ident, value)
        return value

    def _keep(self, kind: str, ident: str, value: object) -> None:
        parsed = self._parsed.setdefault(kind, {})
        if kind in _LAZY and len(parsed) >= PARSED_LIMIT:
            parsed.clear()
        parsed[ident] = value

    def ids(self, kind: str) -> Iterator[str]:
        """Return the ids of a kind, in the order in which they were put."""
        return iter(tuple(self._bytes.get(kind, ())))

    def count(self, kind: str) -> int:
        """Return how many there are of a kind."""
        return len(self._bytes.get(kind, ()))

    def put(self, key: Key, data: bytes | None, value: object | None) -> None:
        """Install one change."""
        kind, ident = key
        self.versions[kind] = self.versions.get(kind, 0) + 1
        if data is None or value is None:
            self._bytes.get(kind, {}).pop(ident, None)
            self._parsed.get(kind, {}).pop(ident, None)
            return
        self._bytes.setdefault(kind, {})[ident] = data
        self._keep(kind, ident, value)


class Page:
    """A view of the book with changes of its own. All typed access is here."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.changed: dict[Key, object | None] = {}
        self._dumped: dict[Key, bytes | None] | None = None

    # --- any record

    def find(self, kind: str, ident: str) -> Any:
        """Return a record as these changes leave it, or None."""
        key = (kind, ident)
        if key in self.changed:
            return self.changed[key]
        return self._book.find(kind, ident)

    def put(self, kind: str, ident: str, value: object) -> None:
        """Set a record."""
        self.changed[kind, ident] = value

    def drop(self, kind: str, ident: str) -> None:
        """Remove a record."""
        if self.find(kind, ident) is not None:
            self.changed[kind, ident] = None

    def ids(self, kind: str) -> list[str]:
        """Return the ids of a kind as these changes leave them."""
        known = [ident for ident in self._book.ids(kind) if self.changed.get((kind, ident), True) is not None]
        had = set(known)
        new = [ident for (of, ident), value in self.changed.items() if of == kind and value and ident not in had]
        return known + new

    def all(self, kind: str, type_: type[T]) -> Iterator[tuple[str, T]]:
        """Yield the records of a kind with their ids."""
        for ident in self.ids(kind):
            yield ident, cast("T", self.find(kind, ident))

    def count(self, kind: str) -> int:
        """Return how many there are of a kind."""
        if not any(of == kind for of, _ in self.changed):
            return self._book.count(kind)
        return len(self.ids(kind))

    def dumped(self) -> dict[Key, bytes | None]:
        """Return all changes as bytes; None: removed. The same each time it is called for the same changes."""
        if self._dumped is None:
            self._dumped = {
                key: None if value is None else kinds.dump(value)
                for key, value in self.changed.items()
                if value is not None or self._book.find(*key) is not None
            }
        return self._dumped

    def install(self) -> None:
        """Write the changes into the book."""
        for key, data in self.dumped().items():
            self._book.put(key, data, self.changed[key])

    # --- by kind

    @property
    def device(self) -> kinds.DeviceState:
        """This device; there is one from the first `Draft.work` on."""
        found = self.find("device", "")
        if found is None:
            raise LookupError("the device has no keys yet")
        return cast("kinds.DeviceState", found)

    @property
    def has_device(self) -> bool:
        """Whether there is one."""
        return self.find("device", "") is not None

    def user(self, user_id: str) -> kinds.UserState:
        """Return what is known of a user; nothing is a value too."""
        return self.find("user", user_id) or kinds.UserState()

    def session(self, ref: DeviceRef) -> SessionRecord | None:
        """Return the sessions with a device."""
        return cast("SessionRecord | None", self.find("session", kinds.device_id_of(ref)))

    def group(self, conversation_id: str) -> kinds.GroupState | None:
        """Return a group."""
        return cast("kinds.GroupState | None", self.find("group", conversation_id))

    def chain(self, conversation_id: str) -> OwnSenderKey | None:
        """Return the own chain of a group."""
        return cast("OwnSenderKey | None", self.find("chain", conversation_id))

    def holders(self, conversation_id: str) -> kinds.Holders | None:
        """Return who has the own chain."""
        return cast("kinds.Holders | None", self.find("holders", conversation_id))

    def todo(self, ref: DeviceRef) -> kinds.Todo:
        """Return what waits for a session with a device."""
        return self.find("todo", kinds.device_id_of(ref)) or kinds.Todo()

    def waiting(self, conversation_id: str, number: int) -> kinds.Waiting | None:
        """Return a message that waits."""
        return cast("kinds.Waiting | None", self.find("waiting", f"{conversation_id}#{number}"))
