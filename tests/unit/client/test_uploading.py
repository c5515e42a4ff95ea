"""Files on their way: what is kept, and what becomes of it when something goes wrong."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cooee.client.api import Api
from cooee.client.errors import SendFailed
from cooee.client.events import TickChanged
from cooee.client.ledger import EventStream, Ledger
from cooee.client.live import Live
from cooee.client.sending import Sending
from cooee.client.store import Store
from cooee.client.uploading import FileWish, Uploading
from cooee.protocol.body import MediaBody, decode_body
from tests.fakes.client_frames import CHAT, ME
from tests.fakes.client_store import STORE_KEY
from tests.unit.client.media_server import KEY, MediaServer, entry_of, refused


class Desk:
    """A store and what sends from it."""

    def __init__(self, ledger: Ledger, api: Api, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder
        self.uploading = Uploading(ledger, api, Sending(ledger, Live(ledger.state), lambda: None), folder)

    @property
    def copies(self) -> list[str]:
        """The copies of streams."""
        folder = self.folder / "uploads"
        return [path.name for path in folder.iterdir()] if folder.exists() else []


@asynccontextmanager
async def at_desk(folder: Path, server: MediaServer) -> AsyncIterator[Desk]:
    async with server.run() as (_, api):
        ledger = await Ledger.open(await asyncio.to_thread(Store, folder, STORE_KEY), ME)
        desk = Desk(ledger, api, folder)
        yield desk
        await desk.uploading.close()
        await ledger.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"first, tea")
    return path


@asynccontextmanager
async def going_on(desk: Desk) -> AsyncIterator[EventStream]:
    """Let the background do what it does, and give what is told meanwhile."""
    events = desk.ledger.subscribe()
    task = asyncio.create_task(desk.uploading.keep_going())
    yield events
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_file_becomes_a_message_of_the_outbox(tmp_path: Path, path: Path) -> None:
    async with at_desk(tmp_path, MediaServer()) as desk:
        wish = FileWish(caption="read", duration_ms=5, waveform=b"\x00\xff")
        entry = await desk.uploading.send("bob", path, wish, None, silent=True)
        assert entry.content == {
            "mediaKey": KEY,
            "mimeType": "text/plain",
            "size": 10,
            "filename": "notes.txt",
            "caption": "read",
            "durationMs": 5,
            "waveform": "AP8",
        }
        assert (entry.conversation_id, entry.content_type, entry.silent) == (CHAT, "document", True)
        assert list(desk.ledger.state.outbox.entries()) == [entry]
        assert not await desk.uploading.entries()


async def test_a_stream_leaves_no_copy_behind(tmp_path: Path) -> None:
    server = MediaServer()
    async with at_desk(tmp_path, server) as desk:
        await desk.uploading.send("bob", io.BytesIO(b"tea"), FileWish(filename="a.txt"), None)
        assert server.content == b"tea"
        with pytest.raises(SendFailed):
            await desk.uploading.send("bob", io.BytesIO(b""), FileWish(), None)
        server.answers = [(413, refused("too_large", retryable=False))] * 2
        with pytest.raises(SendFailed):
            await desk.uploading.send("bob", io.BytesIO(b"tea"), FileWish(), None)
        assert not desk.copies
        assert not await desk.uploading.entries()


async def test_the_next_start_goes_on_and_sweeps(tmp_path: Path, path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "stray").touch()
    store = Store(tmp_path, STORE_KEY)
    store.put_upload(entry_of(path))
    store.close()
    server = MediaServer()
    async with at_desk(tmp_path, server) as desk:
        async with going_on(desk):
            while await desk.uploading.entries():
                pass
        assert [entry.client_message_id for entry in desk.ledger.state.outbox.entries()] == ["c1"]
        assert server.content == b"first, tea"
        assert not desk.copies


async def test_what_is_being_copied_is_not_swept(tmp_path: Path) -> None:
    copied, swept = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        copied.set()
        await swept.wait()
        yield b"two"

    async with at_desk(tmp_path, MediaServer()) as desk:
        sending = asyncio.create_task(desk.uploading.send("bob", pieces(), FileWish(), None))
        await copied.wait()
        (tmp_path / "uploads" / "left-behind").touch()
        async with going_on(desk):
            while "left-behind" in desk.copies:  # noqa: ASYNC110  # it goes in a thread
                await asyncio.sleep(0.01)
            assert len(desk.copies) == 1
            swept.set()
            assert (await sending).media is not None


async def test_to_an_encrypted_conversation_goes_an_encrypted_copy(tmp_path: Path, path: Path) -> None:
    server = MediaServer()
    (tmp_path / "secret").mkdir()
    async with server.run() as (_, api):
        store = await asyncio.to_thread(Store, tmp_path / "secret", STORE_KEY)
        ledger = await Ledger.open(store, ME, encrypts=True)
        desk = Desk(ledger, api, tmp_path / "secret")
        entry = await desk.uploading.send("bob", path, FileWish(caption="read"), None)
        await desk.uploading.close()
        await ledger.close()
    assert b"first, tea" not in server.content
    [grant] = server.grants
    assert (grant["contentType"], grant["encrypted"]) == ("application/octet-stream", True)
    assert "filename" not in grant
    assert (entry.media_keys, entry.text, entry.encrypted) == ((KEY,), "read", True)
    body = decode_body(entry.body.encode())
    assert isinstance(body, MediaBody)
    assert (body.file.size, body.file.filename, body.caption) == (10, "notes.txt", "read")
    assert desk.copies == []


async def test_what_the_next_start_cannot_send_is_told_as_failed(tmp_path: Path, path: Path) -> None:
    store = Store(tmp_path, STORE_KEY)
    store.put_upload(entry_of(path, size=99))
    store.close()
    async with at_desk(tmp_path, MediaServer()) as desk:
        async with going_on(desk) as events:
            told = await anext(events)
        assert isinstance(told, TickChanged)
        assert (told.status, told.client_message_id) == ("failed", "c1")
        [entry] = desk.ledger.state.outbox.entries()
        assert (entry.status, entry.code) == ("failed", "bad_frame")
        assert not await desk.uploading.entries()


async def test_nothing_is_given_up_that_is_not_there(tmp_path: Path, path: Path) -> None:
    async with at_desk(tmp_path, MediaServer()) as desk:
        with pytest.raises(KeyError):
            await desk.uploading.discard("c1")
        await desk.ledger.run(desk.ledger.store.put_upload, entry_of(path))
        await desk.uploading.discard("c1")
        assert not await desk.uploading.entries()
