"""Files that go out encrypted and come in decrypted, or not at all."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.client.downloading import Download, Lock, write_file
from cooee.client.errors import DownloadFailed, SendFailed
from cooee.client.files import PIECE
from cooee.client.sealed_files import open_file, seal_file
from cooee.crypto.attachment import encrypted_size
from tests.unit.client.media_server import KEY, MediaServer

CONTENT = bytes(range(256)) * 9


def sealed(folder: Path, content: bytes = CONTENT) -> tuple[bytes, Lock]:
    """Return an encrypted file and what opens it."""
    (folder / "plain").write_bytes(content)
    found = seal_file(folder / "plain", len(content), folder / "spool" / "sealed")
    octets = (folder / "spool" / "sealed").read_bytes()
    assert found.size == len(octets) == encrypted_size(len(content))
    return octets, Lock(found.key, found.digest, len(content))


@given(st.sampled_from([1, 15, 16, 541, 542, PIECE - 1, PIECE, PIECE + 1]))
@settings(max_examples=8, deadline=None)
def test_what_was_sealed_comes_out(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    octets, lock = sealed(tmp_path_factory.mktemp("sealed"), content)
    out = io.BytesIO()
    open_file(io.BytesIO(octets), out, *lock)
    assert out.getvalue() == content
    assert content[:64] not in octets or size < 16


def test_the_copy_is_for_its_owner_and_no_key_shows(tmp_path: Path) -> None:
    _, lock = sealed(tmp_path)
    assert (tmp_path / "spool" / "sealed").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert lock.key not in repr(lock)
    with pytest.raises(FileExistsError):
        seal_file(tmp_path / "plain", len(CONTENT), tmp_path / "spool" / "sealed")


def test_a_file_that_changes_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(CONTENT)
    for wrong in (len(CONTENT) - 1, len(CONTENT) + 1):
        with pytest.raises(SendFailed, match="being written"):
            seal_file(tmp_path / "plain", wrong, tmp_path / "sealed")
    with pytest.raises(SendFailed, match="cannot be read"):
        seal_file(tmp_path / "none", 1, tmp_path / "sealed")
    assert not (tmp_path / "sealed").exists()


@pytest.mark.parametrize("at", [0, 20, 700, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, at: int) -> None:
    octets, lock = sealed(tmp_path)
    changed = bytearray(octets)
    changed[at] ^= 1
    with pytest.raises(DownloadFailed):
        open_file(io.BytesIO(bytes(changed)), io.BytesIO(), *lock)


async def test_a_download_is_named_only_when_all_of_it_was_checked(tmp_path: Path) -> None:
    octets, lock = sealed(tmp_path)
    target = tmp_path / "down"
    target.mkdir()
    async with MediaServer().run() as (server, api):
        server.content = octets
        server.answers = [(200, "cut")]
        await Download(api, KEY, lock=lock).to(target / "x")
        assert len(server.gets) == 2, "it went on from where it broke off"
        with pytest.raises(FileExistsError):
            await Download(api, KEY, lock=lock).to(target / "x")
        wrong = lock._replace(key=lock.key[::-1].replace(lock.key[-1], "A", 1))
        with pytest.raises(DownloadFailed):
            await Download(api, KEY, lock=wrong).to(target / "y")
        server.content = octets[:-1] + b"x"
        with pytest.raises(DownloadFailed, match="another file"):
            await Download(api, KEY, lock=lock).to(target / "z")
    assert [path.name for path in target.iterdir()] == ["x"]
    assert (target / "x").read_bytes() == CONTENT
    assert (target / "x").stat().st_mode & 0o777 == 0o600


def test_a_small_file_is_written_over_nothing(tmp_path: Path) -> None:
    write_file(tmp_path / "x", b"one", force=False)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "x", b"two", force=False)
    write_file(tmp_path / "x", b"two", force=True)
    assert ((tmp_path / "x").read_bytes(), [path.name for path in tmp_path.iterdir()]) == (b"two", ["x"])
