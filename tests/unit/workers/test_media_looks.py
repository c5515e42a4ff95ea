"""A look at files after they were sent: what is found is kept and told, and no trouble is for ever."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cooee.domain.errors import unavailable
from cooee.domain.ids import DeviceRef
from cooee.ports.media import MediaState
from cooee.ports.media_inspector import Findings, Unseen
from cooee.ports.router import Routed
from cooee.ports.sessions import SessionEntry
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.protocol.media import MediaDetails, RequestUpload, ThumbnailDetails, decode_details
from cooee.services.media import MediaStores
from cooee.workers.media_looks import ATTEMPTS, Desk, MediaLooks, Telling
from tests.fakes.media_inspector import SayingInspector
from tests.fakes.memory_house import MemoryHouse

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
DM = "dm:alice:bob"


class Studio:
    """A house with an inspector, and what was routed to live sessions."""

    def __init__(self, folder: Path) -> None:
        self.house = MemoryHouse()
        self.folder = folder / "looks"
        self.keep_free = 0
        self.inspector = SayingInspector()
        self.looks = self.another()
        self.routed: list[Routed] = []

    def another(self) -> MediaLooks:
        """Return a worker as a restart makes one."""
        house = self.house.house
        stores = MediaStores(house.ports.media, house.ports.blobs, house.ports.clock)
        return MediaLooks(
            stores, self.inspector, Telling(house.views, house.routes), 2, Desk(self.folder, self.keep_free)
        )

    async def sent(
        self,
        content: bytes = PNG,
        mime_type: str = "image/png",
        content_type: str = "image",
        conversation_id: str = DM,
        user: str = "alice",
    ) -> str:
        """Upload and send a file; return its key."""
        house = self.house.house
        wish = RequestUpload(mime_type, len(content), hashlib.sha256(content).hexdigest())
        key = (await house.media.request_upload(user, wish)).media_key
        self.house.files.put(key, content, mime_type)
        said = msgspec.json.encode({"mediaKey": key, "mimeType": mime_type, "size": len(content)})
        frame = frames.Send(key, content_type, msgspec.Raw(said), conversation_id)
        await house.messages.send_and_wait(DeviceRef(user, "d1"), frame)
        return key

    async def details(self, key: str) -> tuple[MediaState, MediaDetails]:
        found = await self.house.store.media.find(key, "alice")
        assert found is not None
        return found.state, decode_details(found.details)

    async def told(self) -> list[tuple[tuple[str, ...], frames.ServerFrame | None]]:
        """Return who was told what."""
        for _ in range(10):
            await asyncio.sleep(0)
        routed, self.routed = self.routed, []
        return [(item.user_ids, decode_server(item.frame)) for item in routed]


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    studio = Studio(tmp_path)
    ports = studio.house.house.ports
    for user_id in ("alice", "bob"):
        await studio.house.user(user_id)
        await ports.sessions.register(SessionEntry(user_id, "d1", "gw", f"c-{user_id}", "cli", 0))
    await ports.router.subscribe("gw", studio.routed.extend)
    running = asyncio.create_task(studio.house.house.routes.run())
    yield studio
    running.cancel()
    studio.house.house.passwords.close()


async def test_what_is_found_is_kept_and_told_to_the_members(studio: Studio) -> None:
    key = await studio.sent()
    assert await studio.looks.look()
    assert studio.inspector.seen == [(PNG, "image/png")]
    thumbnail = ThumbnailDetails(5, hashlib.sha256(b"small").hexdigest(), "image/webp")
    details = MediaDetails("image/png", 4, 3, blurhash="LEHV6n", thumbnail=thumbnail)
    assert await studio.details(key) == (MediaState.READY, details)
    assert studio.house.files.objects[f"{key}.thumb"][1] == b"small"
    seen = frames.MediaSeen(DM, key, thumbnail=True, width=4, height=3, blurhash="LEHV6n")
    assert await studio.told() == [(("alice", "bob"), seen)]
    assert not await studio.looks.look()
    assert len(studio.inspector.seen) == 1
    assert list(studio.folder.iterdir()) == [], "nothing stays of a look"


async def test_a_waveform_is_told_in_base64url(studio: Studio) -> None:
    studio.inspector.thumbnail = b""
    studio.inspector.findings = Findings("audio/ogg", duration_ms=4200, waveform=bytes([0, 255, 250]))
    key = await studio.sent(b"OggS", "audio/ogg", "audio")
    await studio.looks.look()
    [(_, seen)] = await studio.told()
    assert seen == frames.MediaSeen(DM, key, duration_ms=4200, waveform="AP_6")


async def test_of_a_file_that_shows_nothing_nobody_is_told(studio: Studio) -> None:
    studio.inspector.thumbnail = b""
    studio.inspector.findings = Findings(unseen=Unseen.BROKEN)
    key = await studio.sent()
    await studio.looks.look()
    assert await studio.details(key) == (MediaState.READY, MediaDetails())
    assert await studio.told() == []
    assert studio.looks.unseen == {"broken": 1}
    assert (studio.looks.looked, studio.looks.thumbnails) == (1, 0)


async def test_what_was_not_looked_at_before_a_crash_is_after_it(studio: Studio) -> None:
    key = await studio.sent()
    studio.looks = studio.another()
    assert await studio.looks.look()
    assert (await studio.details(key))[0] is MediaState.READY


async def test_an_inspector_that_has_no_time_is_asked_again(studio: Studio) -> None:
    key = await studio.sent()
    studio.inspector.problem = unavailable("too many wait")
    for _ in range(ATTEMPTS + 2):
        assert not await studio.looks.look()
    assert (await studio.details(key))[0] is MediaState.STORED
    studio.inspector.problem = None
    assert await studio.looks.look()
    assert (await studio.details(key))[0] is MediaState.READY


async def test_a_store_that_does_not_answer_is_asked_again(studio: Studio) -> None:
    key = await studio.sent()
    studio.house.files.refuse = True
    assert not await studio.looks.look()
    studio.house.files.refuse = False
    assert await studio.looks.look()
    assert (await studio.details(key))[0] is MediaState.READY


async def test_a_bug_at_one_file_ends_and_holds_up_no_other(studio: Studio) -> None:
    key = await studio.sent()
    studio.inspector.problem = ZeroDivisionError("a bug")
    for _ in range(ATTEMPTS - 1):
        assert not await studio.looks.look()
    assert await studio.looks.look()
    assert await studio.details(key) == (MediaState.READY, MediaDetails())
    assert studio.looks.unseen == {"failed": 1}
    studio.inspector.problem = None
    other = await studio.sent(PNG + b"x")
    assert await studio.looks.look()
    assert (await studio.details(other))[1].thumbnail is not None


async def test_the_disk_keeps_room_for_messages(studio: Studio) -> None:
    key = await studio.sent()
    studio.keep_free = 2**62
    assert not await studio.another().look()
    assert studio.inspector.seen == []
    assert list(studio.folder.iterdir()) == []
    studio.keep_free = 0
    assert await studio.another().look()
    assert (await studio.details(key))[0] is MediaState.READY


async def test_who_sends_very_many_files_holds_up_himself(studio: Studio) -> None:
    for number in range(40):
        await studio.sent(PNG + bytes([number]))
    await studio.sent(PNG + b"bob's", user="bob")
    assert await studio.looks.look()
    assert [content[-5:] for content, _ in studio.inspector.seen].count(b"bob's") == 1
    assert len(studio.inspector.seen) == 3
    while await studio.looks.look():
        pass
    assert len(studio.inspector.seen) == 41


async def test_a_file_that_is_gone_is_done(studio: Studio) -> None:
    key = await studio.sent()
    del studio.house.files.objects[key]
    assert await studio.looks.look()
    assert await studio.details(key) == (MediaState.READY, MediaDetails())


async def test_documents_that_are_no_pictures_are_not_looked_at(studio: Studio) -> None:
    key = await studio.sent(b"%PDF-1.7", "application/pdf", "document")
    assert not await studio.looks.look()
    assert (await studio.details(key))[0] is MediaState.READY
    assert studio.inspector.seen == []


async def test_the_worker_wakes_when_a_file_was_sent_and_sweeps_what_a_crash_left(studio: Studio) -> None:
    (studio.folder / "cooee-left").mkdir(parents=True)
    (studio.folder / "cooee-left" / "file").write_bytes(b"left")
    studio.house.house.line.noticed = studio.looks.notice
    running = asyncio.create_task(studio.looks.run())
    await asyncio.sleep(0)
    key = await studio.sent()
    async with asyncio.timeout(10):
        while (await studio.details(key))[0] is not MediaState.READY:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert list(studio.folder.iterdir()) == []


async def test_who_came_into_a_group_later_is_not_told(studio: Studio) -> None:
    groups = studio.house.house.groups
    await studio.house.user("nina")
    await studio.house.house.ports.sessions.register(SessionEntry("nina", "d1", "gw", "c-nina", "cli", 0))
    tea = (await groups.create(DeviceRef("alice", "d1"), "Tea", ("bob",))).group.conversation_id
    key = await studio.sent(conversation_id=tea)
    await groups.add_members(DeviceRef("alice", "d1"), tea, ("nina",))
    studio.house.house.views.forget(tea)
    await studio.looks.look()
    told = [user_ids for user_ids, frame in await studio.told() if isinstance(frame, frames.MediaSeen)]
    assert told == [("alice", "bob")]
    assert (await studio.details(key))[0] is MediaState.READY
