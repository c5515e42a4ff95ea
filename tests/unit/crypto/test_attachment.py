"""Files: what comes out of any chunks is what went in, and no changed, cut or longer file is finished."""

import secrets
from hashlib import sha256

import pytest

from cooee.crypto import attachment
from cooee.crypto.attachment import FileKey, Opening, Sealed, Sealing, encrypted_size, padded_size
from cooee.crypto.errors import BadKey, BadMessage

KEY = FileKey(bytes(range(64)))


def sealed(data: bytes, chunk: int = 1 << 20) -> tuple[bytes, Sealed]:
    sealing = Sealing(KEY, len(data), secrets.token_bytes)
    parts = [sealing.update(data[at : at + chunk]) for at in range(0, len(data), chunk)]
    end = sealing.finish()
    return b"".join(parts) + end.tail, end


def opened(file: bytes, digest: bytes, size: int, chunk: int = 1 << 20) -> bytes:
    opening = Opening(KEY, digest, size)
    parts = [opening.update(file[at : at + chunk]) for at in range(0, len(file), chunk)]
    return b"".join(parts) + opening.finish()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 540, 541, 542, 5_000, 70_001, 2_000_000])
@pytest.mark.parametrize("chunk", [7_001, 1 << 20])
def test_what_goes_in_comes_out(size: int, chunk: int) -> None:
    data = secrets.token_bytes(size)
    file, end = sealed(data, chunk)
    assert len(file) == end.size == encrypted_size(size)
    assert opened(file, end.digest, size, chunk) == data


def test_files_come_byte_by_byte() -> None:
    data = secrets.token_bytes(600)
    file, end = sealed(data, 1)
    assert opened(file, end.digest, 600, 1) == data


def test_many_sizes_share_few_lengths() -> None:
    assert {encrypted_size(size) for size in range(attachment.LEAST_PADDED + 1)} == {encrypted_size(0)}
    assert len({padded_size(size) for size in range(1, 1_000_000, 997)}) < 160
    for size in (542, 10_007, 123_456_789, 2**40 + 1):
        assert size <= padded_size(size) <= size * 1.051


def test_a_file_of_another_size_than_was_said_is_refused() -> None:
    with pytest.raises(BadMessage):
        Sealing(KEY, 3, secrets.token_bytes).update(b"four")
    with pytest.raises(BadMessage):
        Sealing(KEY, 3, secrets.token_bytes).finish()
    with pytest.raises(ValueError, match="size"):
        Sealing(KEY, -1, secrets.token_bytes)


def test_changed_and_cut_files_are_not_finished() -> None:
    file, end = sealed(b"hello")
    for at in range(0, len(file), 7):
        with pytest.raises(BadMessage):
            opened(file[:at] + bytes((file[at] ^ 1,)) + file[at + 1 :], end.digest, 5)
        with pytest.raises(BadMessage):
            opened(file[:at], end.digest, 5)
    with pytest.raises(BadMessage):
        opened(file + b"x", end.digest, 5)


def test_the_mac_counts_even_when_the_digest_fits() -> None:
    file, _ = sealed(b"hello")
    other = bytes((file[0] ^ 1,)) + file[1:]
    with pytest.raises(BadMessage, match="authentic"):
        opened(other, sha256(other).digest(), 5)


def test_a_file_that_is_shorter_than_the_message_says_is_refused() -> None:
    file, end = sealed(b"hello")
    with pytest.raises(BadMessage):
        opened(file, end.digest, attachment.LEAST_PADDED + 1)


def test_a_file_that_is_too_long_is_refused_before_it_has_all_come() -> None:
    opening = Opening(KEY, bytes(32), 10)
    with pytest.raises(BadMessage):
        opening.update(bytes(4_000))


def test_a_digest_that_is_none_is_refused() -> None:
    with pytest.raises(BadKey):
        Opening(KEY, b"", 1)


def test_another_file_under_the_same_key_is_not_the_one_that_was_sent() -> None:
    file, _ = sealed(b"hullo")
    with pytest.raises(BadMessage, match="not the one"):
        opened(file, sealed(b"hello")[1].digest, 5)


def test_a_file_of_no_whole_blocks_is_refused() -> None:
    file, _ = sealed(b"hello")
    odd = file + b"12345"
    with pytest.raises(BadMessage, match="cut off"):
        opened(odd, sha256(odd).digest(), 5)


def test_padding_of_a_large_file_comes_in_pieces() -> None:
    size = 2_960_000
    sealing = Sealing(KEY, size, secrets.token_bytes)
    start = sealing.update(bytes(size))
    pieces = list(sealing.padding())
    assert [len(piece) for piece in pieces] == [attachment._SPARE] * ((padded_size(size) - size) // attachment._SPARE)
    assert pieces
    end = sealing.finish()
    assert len(end.tail) <= attachment._SPARE + 48
    file = start + b"".join(pieces) + end.tail
    assert len(file) == end.size == encrypted_size(size)
    assert opened(file, end.digest, size) == bytes(size)


def test_padding_comes_after_the_whole_file() -> None:
    with pytest.raises(BadMessage):
        next(Sealing(KEY, 3, secrets.token_bytes).padding())
