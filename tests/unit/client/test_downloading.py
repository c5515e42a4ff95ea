"""One file on its way here, whatever the store says."""

from hashlib import sha256
from pathlib import Path

import pytest

from cooee.client.api import Api
from cooee.client.downloading import TRIES, Download, Lock
from cooee.client.errors import ConnectionFailed, DownloadFailed, ServerError
from cooee.domain import base64url
from tests.unit.client.media_server import KEY, MediaServer, refused

CONTENT = bytes(range(256)) * 40
HALF = len(CONTENT) // 2


async def fetch(api: Api, path: Path, *, force: bool = False) -> list[float]:
    """Download, and return the pauses that were made."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    await Download(api, KEY, pause=pause).to(path, force=force)
    return pauses


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    async with MediaServer(absolute=True).run() as (server, api):
        server.content = CONTENT
        await fetch(api, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert server.tokens == [""]


async def test_what_broke_off_goes_on_if_it_is_the_same(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        server.answers = [(200, "cut")]
        await fetch(api, tmp_path / "x")
    assert server.gets == [("", ""), (f"bytes={HALF}-", server.etag)]
    assert (tmp_path / "x").read_bytes() == CONTENT


async def test_an_address_that_is_no_good_any_more_is_asked_for_anew(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        server.answers = [(403, ""), (404, "")]
        await fetch(api, tmp_path / "x")
    assert len(server.grants) == 3
    assert (tmp_path / "x").read_bytes() == CONTENT


async def test_another_file_than_was_sent_is_fetched_anew_once_and_never_kept(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        server.answers = [(200, "x" * len(CONTENT)), (200, "")]
        await fetch(api, tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == CONTENT
        server.answers = [(200, "x" * len(CONTENT))] * 2
        with pytest.raises(DownloadFailed):
            await fetch(api, tmp_path / "y")
    assert names(tmp_path) == ["x"]


async def test_what_never_works_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        server.answers = [(200, "cut"), *[(503, "")] * 100]
        with pytest.raises((ConnectionFailed, ServerError)):
            await fetch(api, tmp_path / "x")
        assert len(server.gets) == TRIES
        [part] = names(tmp_path)
        assert (tmp_path / part).read_bytes() == CONTENT[:HALF]
        server.answers = []
        await fetch(api, tmp_path / "x")
    assert server.gets[-1][0] == f"bytes={HALF}-"
    assert names(tmp_path) == ["x"]


async def test_nothing_is_replaced_unless_wanted(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        (tmp_path / "x").write_text("mine")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        for name in ("x", "link"):
            with pytest.raises(FileExistsError):
                await fetch(api, tmp_path / name)
        with pytest.raises(IsADirectoryError):
            await fetch(api, tmp_path)
        assert not server.gets
        await fetch(api, tmp_path / "x", force=True)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names(tmp_path) == ["link", "x"]


async def test_a_refusal_that_stays_is_raised(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        server.answers = [(451, refused("forbidden", retryable=False))]
        with pytest.raises(ServerError):
            await fetch(api, tmp_path / "x")


async def test_no_more_is_fetched_than_the_sender_said(tmp_path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.content = CONTENT
        with pytest.raises(DownloadFailed, match="larger"):
            await Download(api, KEY, most=len(CONTENT) - 1).to(tmp_path / "x")
        digest = base64url.encode(sha256(CONTENT).digest())
        with pytest.raises(DownloadFailed, match="larger"):
            await Download(api, KEY, lock=Lock("k", digest, 9)).to(tmp_path / "x")
        assert server.gets == []
        await Download(api, KEY, most=len(CONTENT)).to(tmp_path / "x")
    assert names(tmp_path) == ["x"]
