"""States at rest: versions, migration, damage."""

import msgspec
import pytest

from cooee.crypto.errors import BadState
from cooee.crypto.keys import ChainKey, DhPublicKey
from cooee.crypto.stored import Stored


class State(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    key: ChainKey
    counter: int
    peer: DhPublicKey | None


STATE = State(ChainKey(b"k" * 32), 7, DhPublicKey(b"\x09" + bytes(31)))
STORED = Stored(version=2, migrations={0: lambda body: body + b"\x07", 1: lambda body: b"\x93" + body + b"\xc0"})


def test_what_was_dumped_is_loaded() -> None:
    data = STORED.dump(STATE)
    assert data[0] == 2
    assert STORED.load(State, data) == STATE


def test_old_versions_are_migrated_step_by_step() -> None:
    key = b"\xc4\x20" + b"k" * 32
    assert STORED.load(State, b"\x01" + key + b"\x09") == State(STATE.key, 9, None)
    assert STORED.load(State, b"\x00" + key) == State(STATE.key, 7, None)


@pytest.mark.parametrize("data", [b"", b"\x03" + STORED.dump(STATE)[1:], b"\x02", STORED.dump(STATE)[:-1]])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(BadState):
        STORED.load(State, data)


def test_a_version_without_a_migration_is_refused() -> None:
    with pytest.raises(BadState, match="version"):
        Stored(version=2, migrations={1: bytes}).load(State, b"\x00" + STORED.dump(STATE)[1:])


@pytest.mark.parametrize(
    "fields",
    [
        [b"k" * 31, 7, None],
        ["k" * 32, 7, None],
        [b"k" * 32, "7", None],
        [b"k" * 32, 7, bytes(32)],
        [b"k" * 32, 7],
        [b"k" * 32, 7, None, 1],
        {"key": b"k" * 32},
    ],
)
def test_a_damaged_state_is_refused(fields: object) -> None:
    with pytest.raises(BadState):
        STORED.load(State, b"\x02" + msgspec.msgpack.encode(fields))


def test_what_is_no_key_is_not_stored() -> None:
    class Odd(msgspec.Struct, frozen=True):
        what: object

    with pytest.raises(TypeError):
        STORED.dump(Odd(object()))
