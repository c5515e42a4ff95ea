"""One file on its way to the store, whatever the store says."""

from pathlib import Path

import pytest

from cooee.client.api import Api
from cooee.client.carrier import TRIES, Carrier
from cooee.client.errors import ConnectionFailed, SendFailed
from cooee.client.files import FileEntry
from tests.unit.client.media_server import KEY, MediaServer, entry_of, refused

CONTENT = bytes(range(256)) * 40


class Way:
    """A carrier whose pauses take no time."""

    def __init__(self, api: Api, entry: FileEntry) -> None:
        self.saved: list[FileEntry] = []
        self.pauses: list[float] = []
        self.told: list[tuple[int, int]] = []
        self.carrier = Carrier(api, entry, self._save, lambda *at: self.told.append(at), self._pause)

    async def _save(self, entry: FileEntry) -> None:
        self.saved.append(entry)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("absolute", [True, False])
async def test_a_file_goes_in_one_piece_without_the_token(path: Path, *, absolute: bool) -> None:
    async with MediaServer(absolute=absolute).run() as (server, api):
        way = Way(api, entry_of(path))
        done = await way.carrier.carry()
    assert server.content == CONTENT
    assert done.media_key == KEY
    assert way.saved[-1] == done
    assert server.tokens == [""], "the token is for the server, not for the store"
    assert way.told[-1] == (len(CONTENT), len(CONTENT))
    assert server.grants[0]["contentType"] == "text/plain"


async def test_what_broke_off_goes_on_where_the_server_is(path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.answers = [(503, "")]
        way = Way(api, entry_of(path))
        await way.carrier.carry()
    half = len(CONTENT) // 2
    assert [put[1] for put in server.puts] == [
        "",
        f"bytes */{len(CONTENT)}",
        f"bytes {half}-{len(CONTENT) - 1}/{len(CONTENT)}",
    ]
    assert server.content == CONTENT
    assert len(way.pauses) == 1


async def test_a_foreign_store_gets_the_whole_again(path: Path) -> None:
    async with MediaServer(absolute=True).run() as (server, api):
        server.answers = [(500, "<Error/>")]
        await Way(api, entry_of(path)).carrier.carry()
    assert [put[1:] for put in server.puts] == [("", len(CONTENT))] * 2
    assert server.content == CONTENT


async def test_an_address_that_is_no_good_any_more_is_asked_for_anew(path: Path) -> None:
    async with MediaServer(absolute=True).run() as (server, api):
        server.answers = [(403, "<Error/>")]
        await Way(api, entry_of(path)).carrier.carry()
    assert [grant.get("mediaKey", "") for grant in server.grants] == ["", KEY]
    assert server.content == CONTENT


async def test_parts_that_are_there_are_not_sent_again(path: Path) -> None:
    async with MediaServer(part_size=4000).run() as (server, api):
        server.answers = [(201, ""), (503, "")]
        server.parts[0] = CONTENT[:4000]
        way = Way(api, entry_of(path))
        await way.carrier.carry()
        assert [put[0] for put in server.puts] == ["0", "1", "1", "2"]
        assert [put[2] for put in server.puts] == [4000, 4000, 4000, len(CONTENT) - 8000]
        assert server.completed == ["u"]
        assert server.content == CONTENT
        begun = next(saved for saved in way.saved if saved.parts_done == (0, 1))
        server.puts.clear()
        await Way(api, begun).carrier.carry()
    assert [put[0] for put in server.puts] == ["2"], "what another run of the program noted counts"
    assert len(server.grants) == 1


async def test_a_final_refusal_is_one(path: Path) -> None:
    async with MediaServer().run() as (server, api):
        server.answers = [(413, refused("too_large", retryable=False))] * 2
        with pytest.raises(SendFailed) as failed:
            await Way(api, entry_of(path)).carrier.carry()
    assert failed.value.code == "too_large"
    assert len(server.puts) == 1


async def test_what_never_works_is_given_up_for_now(path: Path) -> None:
    async with MediaServer(absolute=True).run() as (server, api):
        server.answers = [(503, "")] * 100
        way = Way(api, entry_of(path))
        with pytest.raises(ConnectionFailed):
            await way.carrier.carry()
    assert TRIES <= len(server.puts) <= TRIES + 1
    assert all(0 < pause <= 15 for pause in way.pauses)
    assert way.saved[-1].media_key == KEY, "the next time goes on with it"


def rewrite(path: Path) -> None:
    path.write_bytes(b"something else")


def remove(path: Path) -> None:
    path.unlink()


async def test_a_file_that_was_changed_is_not_sent(path: Path) -> None:
    async with MediaServer().run() as (server, api):
        entry = entry_of(path)
        rewrite(path)
        with pytest.raises(SendFailed, match="changed"):
            await Way(api, entry).carrier.carry()
        remove(path)
        with pytest.raises(SendFailed, match="cannot be read"):
            await Way(api, entry).carrier.carry()
    assert not server.grants
