"""Who has which devices now, remembered for a moment for encrypted messages (PROTOCOL.md §15)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef
from cooee.ports.device_keys import CurrentDevices, DeviceKeys
from cooee.services.conversation_view import ConversationView

CACHE_S = 2.0
"""How old what is remembered may be. On this server a change is known at once; on others within this time."""
CAPACITY = 50_000
"""Users, and likewise groups, that are remembered."""

_Known = tuple[float, CurrentDevices | None]
_Devices = Mapping[str, str]


class _Hash(NamedTuple):
    """The hash of a group: over which devices of its members, of which roster, and how old the oldest list is."""

    revision: int
    roster_version: int
    since: float
    devices: list[_Devices]
    told: str


_NONE: _Devices = {}


class DeviceLists:
    """The newest signed lists and current devices of users. A user without a list has no current device."""

    def __init__(self, keys: DeviceKeys, monotonic: Callable[[], float]) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._hashes: dict[str, _Hash] = {}
        self._revision = 0

    def peek(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices | None] | None:
        """Return what is remembered of all these users; None: of one nothing is, or it is too old."""
        after = self._monotonic() - CACHE_S
        found = {}
        for user_id in user_ids:
            known = self._fresh(user_id, after)
            if known is None:
                return None
            found[user_id] = known[1]
        return found

    async def load(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices | None]:
        """Return the newest lists of these users, None for those who have none; at most `CACHE_S` old."""
        remembered = self.peek(user_ids)
        if remembered is not None:
            return remembered
        revision, now = self._revision, self._monotonic()
        found = {user_id: self._fresh(user_id, now - CACHE_S) for user_id in user_ids}
        lacking = tuple(user_id for user_id, known in found.items() if known is None)
        read = await self._keys.current(lacking)
        fresh = {user_id: (now, read.get(user_id)) for user_id in lacking}
        if revision == self._revision:
            for user_id, known in fresh.items():
                self._known.pop(user_id, None)
                self._known[user_id] = known
            _trim(self._known)
        return {user_id: (known or fresh[user_id])[1] for user_id, known in found.items()}

    def peek_hash(self, view: ConversationView) -> str | None:
        """Return the hash over a group's current devices; None: it is not remembered."""
        known = self._hashes.get(view.conversation_id)
        now = self._monotonic()
        if known is not None and known.roster_version != view.roster_version:
            known = None
        if known is not None and known.revision == self._revision and known.since >= now - CACHE_S:
            return known.told
        found = self.peek(view.user_ids)
        if found is None:
            return None
        since = min((self._known[user_id][0] for user_id in view.user_ids), default=now)
        devices = [current_of(found, user_id) for user_id in view.user_ids]
        told = known.told if known is not None and known.devices == devices else hash_of(found)
        self._hashes.pop(view.conversation_id, None)
        self._hashes[view.conversation_id] = _Hash(self._revision, view.roster_version, since, devices, told)
        _trim(self._hashes)
        return told

    def forget(self, user_ids: Collection[str]) -> None:
        """Look anew: a list of these users changed, or which of their devices have keys."""
        self._revision += 1
        for user_id in user_ids:
            self._known.pop(user_id, None)

    def _fresh(self, user_id: str, after: float) -> _Known | None:
        known = self._known.get(user_id)
        return None if known is None or known[0] < after else known


def current_of(found: Mapping[str, CurrentDevices | None], user_id: str) -> Mapping[str, str]:
    """Return a user's current devices with their identity keys, by deviceId."""
    each = found.get(user_id)
    return _NONE if each is None else each.current


def hash_of(found: Mapping[str, CurrentDevices | None]) -> str:
    """Return the hash over the current devices of these users."""
    return device_list_hash(_devices(found))


def _devices(found: Mapping[str, CurrentDevices | None]) -> Iterator[tuple[DeviceRef, str]]:
    for user_id, each in found.items():
        if each is not None:
            for device_id, key in each.current.items():
                yield DeviceRef(user_id, device_id), key


def _trim(remembered: dict[str, Any]) -> None:
    while len(remembered) > CAPACITY:
        del remembered[next(iter(remembered))]
