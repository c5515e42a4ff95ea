"""Files through the SDK, against the real server: both ways, over bad networks, and over the death of the client."""

import asyncio
import hashlib
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cooee.client import (
    Client,
    ClientSettings,
    MediaUpdated,
    Message,
    SendFailed,
    ServerError,
    TickChanged,
)
from tests.fakes.proxy import Proxy
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, House, Person, new_user

MIB = 1024 * 1024
PART = 5 * MIB
SETTINGS = {"MEDIA_PART_BYTES": str(PART)}


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path) as opened:
        yield opened


async def pair(server: ServerProcess, house: House, url: str = "") -> tuple[Person, Person]:
    """Open alice's client, at ``url`` if it is another way to the server, and bob's."""
    alice, bob = [await new_user(server.url, name) for name in ("alice", "bob")]
    return await house.enter(url or server.url, alice), await house.enter(server.url, bob)


def file_of(folder: Path, size: int, name: str = "notes.bin") -> Path:
    path = folder / name
    path.write_bytes(some_bytes(size))
    return path


def parts_in(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


async def gets(person: Person) -> Message:
    return await person.hears(Message, lambda message: message.media)


@pytest.mark.parametrize("size", [1, 300_000, 2 * PART + 17])
@pytest.mark.parametrize("transport", ["websocket", "longpoll"])
async def test_a_file_comes_as_it_was_sent(
    server: ServerProcess, house: House, tmp_path: Path, size: int, transport: str
) -> None:
    house.settings = ClientSettings(transport=transport)  # type: ignore[arg-type]
    alice, bob = await pair(server, house)
    sent: list[tuple[int, int]] = []
    path = file_of(tmp_path, size)
    kept = await alice.client.send_file(
        bob.client.me.user_id, path, caption="read this", progress=lambda *at: sent.append(at)
    )
    await alice.client.wait_for_sent(kept.client_message_id, WAIT_S)
    assert sent[-1] == (size, size)
    message = await gets(bob)
    assert (message.content_type, message.text) == ("document", "read this")
    assert message.media is not None
    assert (message.media.filename, message.media.size) == ("notes.bin", size)
    came: list[tuple[int, int]] = []
    link = await bob.client.download(message, tmp_path / "came", progress=lambda *at: came.append(at))
    assert (tmp_path / "came").read_bytes() == path.read_bytes()
    assert link.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert came[-1] == (size, size)
    assert not parts_in(tmp_path)
    assert not await alice.client.uploads()


async def test_a_stream_is_sent_without_being_held(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)

    async def pieces() -> AsyncIterator[bytes]:
        for seed in range(3):
            yield some_bytes(100_000, seed)

    first = await alice.client.send_file(bob.client.me.user_id, pieces(), filename="stream.bin")
    second = await alice.client.send_file(bob.client.me.user_id, io.BytesIO(b"short"), filename="../x/short.txt")
    for kept in (first, second):
        await alice.client.wait_for_sent(kept.client_message_id, WAIT_S)
    assert second.media is not None
    assert second.media.filename == "short.txt"
    assert not list((alice.client.folder / "uploads").iterdir())
    message = await gets(bob)
    await bob.client.download(message, tmp_path / "came")
    assert (tmp_path / "came").read_bytes() == b"".join(some_bytes(100_000, seed) for seed in range(3))


@pytest.mark.parametrize("size", [4 * MIB, 3 * PART + 5])
async def test_an_upload_that_is_cut_again_and_again_goes_on(
    server: ServerProcess, house: House, tmp_path: Path, size: int
) -> None:
    async with Proxy(server.url, seed=3) as proxy:
        alice, bob = await pair(server, house, proxy.url)
        proxy.cut_after = 3 * MIB if size < PART else 2 * PART
        proxy.cut()
        path = file_of(tmp_path, size)
        kept = await alice.client.send_file(bob.client.me.user_id, path)
        proxy.cut_after = 0
        assert proxy.cuts
        await alice.client.wait_for_sent(kept.client_message_id, WAIT_S)
    message = await gets(bob)
    await bob.client.download(message, tmp_path / "came")
    assert (tmp_path / "came").read_bytes() == path.read_bytes()


async def test_a_download_that_is_cut_again_and_again_goes_on(
    server: ServerProcess, house: House, tmp_path: Path
) -> None:
    alice, bob = await pair(server, house)
    path = file_of(tmp_path, 4 * MIB)
    await alice.client.send_file(bob.client.me.user_id, path)
    message = await gets(bob)
    async with Proxy(server.url, seed=2) as proxy:
        user = bob.client.me.user_id
        away = Client(proxy.url, store=tmp_path / "away", user=user, password=PASSWORD, live=False, encryption="off")
        async with away:
            proxy.cut_after = 2 * MIB
            proxy.cut()
            await away.download(message, tmp_path / "came")
        assert proxy.cuts
    assert (tmp_path / "came").read_bytes() == path.read_bytes()


async def test_what_came_before_is_not_fetched_again(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    path = file_of(tmp_path, 1 * MIB)
    await alice.client.send_file(bob.client.me.user_id, path)
    message = await gets(bob)
    part = tmp_path / f".{hashlib.sha256(path.read_bytes()).hexdigest()}.part"
    part.write_bytes(path.read_bytes()[:700_000])
    came: list[int] = []
    await bob.client.download(message, tmp_path / "came", progress=lambda done, _: came.append(done))
    assert came[0] > 700_000
    assert (tmp_path / "came").read_bytes() == path.read_bytes()
    part.write_bytes(bytes(700_000))
    await bob.client.download(message, tmp_path / "anew")
    assert (tmp_path / "anew").read_bytes() == path.read_bytes(), "what came before was something else"


async def test_nothing_is_overwritten_unless_wanted(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    await alice.client.send_file(bob.client.me.user_id, file_of(tmp_path, 1000))
    message = await gets(bob)
    target = tmp_path / "mine"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        await bob.client.download(message, target)
    assert target.read_text() == "mine"
    await bob.client.download(message, target, force=True)
    assert target.read_bytes() == some_bytes(1000)


async def test_a_stranger_gets_nothing(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    eve = await house.enter(server.url, await new_user(server.url, "eve"))
    await alice.client.send_file(bob.client.me.user_id, file_of(tmp_path, 1000))
    message = await gets(bob)
    with pytest.raises(ServerError) as refused:
        await eve.client.download(message, tmp_path / "came")
    assert refused.value.code == "not_found"
    assert not (tmp_path / "came").exists()


async def test_what_can_never_be_sent_leaves_nothing(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    to = bob.client.me.user_id
    (tmp_path / "empty").touch()
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (tmp_path / "empty", {}),
        (tmp_path / "missing", {}),
        (tmp_path, {}),
        (file_of(tmp_path, 100), {"kind": "image"}),
        (file_of(tmp_path, 100), {"caption": "x" * 60_000}),
        (file_of(tmp_path, 100), {"waveform": bytes(200)}),
    ]
    for source, options in wrong:
        with pytest.raises(SendFailed):
            await alice.client.send_file(to, source, **options)
    assert not await alice.client.uploads()
    assert not await alice.client.outbox()


async def test_a_voice_message_has_what_is_said_of_it(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    path = tmp_path / "voice.ogg"
    path.write_bytes(b"OggS" + bytes(2000))
    await alice.client.send_file(bob.client.me.user_id, path, duration_ms=4200, waveform=bytes(range(64)))
    message = await gets(bob)
    assert message.content_type == "audio"
    assert message.media is not None
    assert (message.media.mime_type, message.media.duration_ms) == ("audio/ogg", 4200)
    assert message.media.waveform


async def test_a_changed_file_is_not_sent_by_the_next_start(
    server: ServerProcess, house: House, tmp_path: Path
) -> None:
    async with Proxy(server.url) as proxy:
        alice, bob = await pair(server, house, proxy.url)
        me, store = alice.client.me.user_id, alice.client.folder
        path = file_of(tmp_path, 2 * MIB)
        begun = await begun_and_left(alice, bob, path, proxy)
        path.write_bytes(b"something else")
        async with Client(proxy.url, store=store, user=me, password=PASSWORD, encryption="off") as client:
            events = client.events()
            async with asyncio.timeout(WAIT_S):
                while not await client.outbox():
                    event = await anext(events)
                    if isinstance(event, TickChanged):
                        assert (event.status, event.client_message_id) == ("failed", begun)
            [entry] = await client.outbox()
            assert (entry.status, entry.client_message_id) == ("failed", begun)
            assert "changed" in entry.reason
            with pytest.raises(SendFailed, match="anew"):
                await client.retry(begun)
            await client.discard(begun)
            assert not await client.uploads()


async def begun_and_left(alice: Person, bob: Person, path: Path, proxy: Proxy) -> str:
    """Let an upload begin, freeze the network, close alice's client; return the message's id."""
    moved = asyncio.Event()

    def progress(done: int, _: int) -> None:
        if done:
            proxy.freeze()
            moved.set()

    sending = asyncio.create_task(alice.client.send_file(bob.client.me.user_id, path, progress=progress))
    await moved.wait()
    [entry] = await alice.client.uploads()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await alice.client.__aexit__(None, None, None)
    proxy.thaw()
    return entry.client_message_id


async def test_the_next_start_goes_on_with_an_upload(server: ServerProcess, house: House, tmp_path: Path) -> None:
    async with Proxy(server.url) as proxy:
        alice, bob = await pair(server, house, proxy.url)
        me = alice.client.me.user_id
        path = file_of(tmp_path, 8 * MIB)
        begun = await begun_and_left(alice, bob, path, proxy)
        async with Client(proxy.url, store=tmp_path / me, user=me, password=PASSWORD, encryption="off"):
            message = await gets(bob)
    assert message.client_message_id == begun
    await bob.client.download(message, tmp_path / "came")
    assert (tmp_path / "came").read_bytes() == path.read_bytes()


async def test_an_upload_can_be_given_up(server: ServerProcess, house: House, tmp_path: Path) -> None:
    async with Proxy(server.url) as proxy:
        alice, bob = await pair(server, house, proxy.url)
        moved = asyncio.Event()

        def progress(done: int, _: int) -> None:
            proxy.freeze()
            moved.set()

        stream = io.BytesIO(some_bytes(2 * MIB))
        sending = asyncio.create_task(alice.client.send_file(bob.client.me.user_id, stream, progress=progress))
        await moved.wait()
        [entry] = await alice.client.uploads()
        await alice.client.discard_upload(entry.client_message_id)
        with pytest.raises(SendFailed, match="discarded"):
            await sending
        assert not await alice.client.uploads()
        assert not list((alice.client.folder / "uploads").iterdir())
        with pytest.raises(KeyError):
            await alice.client.discard_upload(entry.client_message_id)
        proxy.thaw()


async def test_a_thumbnail_is_told_kept_and_fetched(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob = await pair(server, house)
    path = tmp_path / "sea.png"
    Image.new("RGB", (1200, 600), "teal").save(path)
    await alice.client.send_file(bob.client.me.user_id, path)
    message = await gets(bob)
    told = await bob.hears(MediaUpdated)
    assert (told.thumbnail, told.width, told.height) == (True, 1200, 600)
    held = await bob.client.held(message.conversation_id)
    [kept] = [found for found in held.messages if found.sequence_number == message.sequence_number]
    assert kept.media is not None
    assert (kept.media.thumbnail, kept.media.width, kept.media.blurhash) == (True, 1200, told.blurhash)
    link = await bob.client.download(message, tmp_path / "small", thumbnail=True)
    assert link.width == 1200
    with Image.open(tmp_path / "small") as small:
        assert max(small.size) <= 480
