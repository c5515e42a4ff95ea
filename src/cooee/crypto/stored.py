"""States at rest: a version byte, then MessagePack of a frozen struct. Old versions are migrated step by step."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from cooee.crypto.errors import BadState, CryptoError
from cooee.crypto.keys import Key

T = TypeVar("T", bound=msgspec.Struct)
Migration: TypeAlias = Callable[[bytes], bytes]
"""Takes the bytes of one version without its version byte, and returns those of the next."""

NO_MIGRATIONS: Final[Mapping[int, Migration]] = MappingProxyType({})


def _to_plain(value: object) -> object:
    if isinstance(value, Key):
        return bytes(value)
    raise TypeError("this is nothing to store")


def _from_plain(kind: type, value: object) -> Any:
    if not isinstance(value, bytes):
        raise TypeError("bytes are expected")
    return kind(value)


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_to_plain)


class Stored:
    """How one class of states is stored. The bytes are secret: they hold the keys as they are."""

    def __init__(self, version: int, migrations: Mapping[int, Migration] = NO_MIGRATIONS) -> None:
        self.version = version
        self.migrations = migrations

    def dump(self, state: msgspec.Struct) -> bytes:
        """Return version byte and state."""
        return bytes((self.version,)) + _ENCODER.encode(state)

    def load(self, kind: type[T], data: bytes) -> T:
        """Undo `dump`, through the migrations when the version is older.

        Raises:
            BadState: the bytes are damaged, or of a version that is newer or too old.
        """
        if not data:
            raise BadState("a stored state is empty")
        version, body = data[0], data[1:]
        try:
            while version < self.version and version in self.migrations:
                body = self.migrations[version](body)
                version += 1
            if version != self.version:
                raise BadState("a stored state is of an unknown version")
            return msgspec.msgpack.decode(body, type=kind, dec_hook=_from_plain)
        except BadState:
            raise
        except (CryptoError, ValueError, TypeError, KeyError, RecursionError, msgspec.MsgspecError):
            raise BadState("a stored state is damaged") from None
