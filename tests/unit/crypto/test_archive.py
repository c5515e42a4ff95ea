"""Archives: whole and in order or not at all, under one key or passphrase."""

import pickle
import secrets
import struct

import pytest
from argon2.exceptions import HashingError

from cooee.crypto import archive
from cooee.crypto.archive import (
    CHUNK,
    ArchiveKey,
    ArchiveReader,
    ArchiveWriter,
    Costs,
    NotEnoughMemory,
    Passphrase,
    WrongKey,
)
from cooee.crypto.errors import BadMessage, CryptoError, UnsupportedVersion

KEY = ArchiveKey(bytes(range(32)))
CHEAP = Costs(8, 1, 1)
HEADER = 74
SEALED = CHUNK + 16


def written(data: bytes, secret: ArchiveKey | Passphrase = KEY, step: int = 1 << 20) -> bytes:
    writer = ArchiveWriter(secret, secrets.token_bytes, CHEAP)
    parts = [writer.start(), *(writer.update(data[at : at + step]) for at in range(0, len(data), step))]
    return b"".join(parts) + writer.finish()


def read(octets: bytes, secret: ArchiveKey | Passphrase = KEY, step: int = 1 << 20) -> bytes:
    reader = ArchiveReader(secret)
    parts = [reader.update(octets[at : at + step]) for at in range(0, len(octets), step)]
    return b"".join(parts) + reader.finish()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("step", [5_003, 1 << 20])
def test_what_goes_in_comes_out(size: int, step: int) -> None:
    data = secrets.token_bytes(size)
    octets = written(data, step=step)
    assert read(octets, step=step) == data
    assert len(octets) == HEADER + size + 16 * max(1, -(-size // CHUNK))


def test_a_passphrase_opens_it_however_its_letters_are_composed() -> None:
    octets = written(b"hello", Passphrase("caf\u00e9"))
    assert read(octets, Passphrase("cafe\u0301")) == b"hello"
    assert read(octets, Passphrase("caf\u00e9"), step=1) == b"hello"
    with pytest.raises(WrongKey):
        read(octets, Passphrase("cafe"))
    assert repr(Passphrase("secret")) == "<Passphrase>"


def test_another_key_is_told_from_damage() -> None:
    octets = written(b"hello")
    with pytest.raises(WrongKey):
        read(octets, ArchiveKey(bytes(32)))
    with pytest.raises(BadMessage):
        read(octets[:-1] + bytes((octets[-1] ^ 1,)))
    with pytest.raises(BadMessage):
        read(octets, Passphrase("hello"))
    with pytest.raises(UnsupportedVersion):
        read(octets[:8] + b"\x02" + octets[9:])


def test_every_changed_byte_is_refused() -> None:
    octets = written(b"hello")
    for at in range(len(octets)):
        with pytest.raises(CryptoError):
            read(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :])


def test_cut_reordered_repeated_and_continued_archives_are_refused() -> None:
    octets = written(secrets.token_bytes(3 * CHUNK))
    head, one, two, three = (
        octets[:HEADER],
        *(octets[HEADER + n * SEALED : HEADER + (n + 1) * SEALED] for n in range(3)),
    )
    assert head + one + two + three == octets
    for bad in (
        head, head + one, head + one + two, head + two + one + three, head + one + one + two + three,
        head + three, octets + three, octets + b"x", octets[:-1], octets[:HEADER - 1], b"",
    ):  # fmt: skip
        with pytest.raises(BadMessage):
            read(bad)


def test_chunks_of_two_archives_do_not_mix() -> None:
    one, two = written(bytes(2 * CHUNK)), written(bytes(2 * CHUNK))
    with pytest.raises(BadMessage):
        read(one[: HEADER + SEALED] + two[HEADER + SEALED :])


def test_nothing_comes_out_that_was_not_checked() -> None:
    octets = bytearray(written(bytes(2 * CHUNK)))
    octets[HEADER + SEALED + 5] ^= 1
    reader = ArchiveReader(KEY)
    assert reader.update(bytes(octets)) == bytes(CHUNK)
    with pytest.raises(BadMessage):
        reader.finish()


def test_an_empty_end_after_full_chunks_is_refused() -> None:
    writer = ArchiveWriter(KEY, secrets.token_bytes)
    head = writer.start()
    full = writer._seal(bytes(CHUNK), last=False)
    with pytest.raises(BadMessage):
        read(head + full + writer._seal(b"", last=True))


@pytest.mark.parametrize(
    "costs", [(1 << 20 | 1, 1, 1), (8, 17, 1), (8, 0, 1), (1 << 20, 1, 17), (7, 1, 1), (0, 0, 0), (8, 1, 0)]
)
def test_an_archive_may_not_ask_for_any_memory_or_time(costs: tuple[int, int, int]) -> None:
    octets = bytearray(written(b"x", Passphrase("p")))
    octets[42:51] = struct.pack(">IIB", *costs)
    with pytest.raises(BadMessage, match="too much"):
        read(bytes(octets), Passphrase("p"))
    with pytest.raises(ValueError, match="not be read"):
        ArchiveWriter(Passphrase("p"), secrets.token_bytes, Costs(*costs))


def test_the_costs_that_are_used_are_those_of_rfc_9106() -> None:
    assert Costs(memory_kib=65_536, passes=3, lanes=4) == archive.DEFAULT_COSTS
    assert archive.DEFAULT_COSTS.are_bearable()


@pytest.mark.parametrize("octets", [b"hello", b"hello world" * 20, b"COOEEARX" + bytes(100)])
def test_what_is_no_archive_is_told(octets: bytes) -> None:
    with pytest.raises(BadMessage, match="no archive"):
        read(octets)


def test_memory_that_is_not_there_is_told_and_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = written(b"hello", Passphrase("p"))

    def nothing_left(*_: object, **__: object) -> bytes:
        raise HashingError("Memory allocation error")

    monkeypatch.setattr(archive, "hash_secret_raw", nothing_left)
    with pytest.raises(NotEnoughMemory):
        read(octets, Passphrase("p"))
    with pytest.raises(NotEnoughMemory):
        written(b"hello", Passphrase("p"))


def test_a_passphrase_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Passphrase("open sesame"))
