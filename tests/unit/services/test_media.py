"""Files in messages: who may upload, send and download them, and in which order messages with them are numbered."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cooee.app.config import MediaConfig
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import per_minute
from cooee.domain.media import LEAST_COUNTED, OCTETS, SEND_HOLD_MS
from cooee.ports.media import MediaState
from cooee.protocol import frames
from cooee.protocol.media import MediaDetails, RequestUpload, ThumbnailDetails, Upload
from tests.fakes.memory_house import MemoryHouse

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
HTML = b"<html><script>alert(1)</script></html>"
DM = "dm:alice:bob"
HOUR_MS = 3_600_000


@pytest.fixture
async def house() -> AsyncIterator[MemoryHouse]:
    opened = MemoryHouse()
    for user_id in ("alice", "bob", "carol"):
        await opened.user(user_id)
    yield opened
    opened.house.passwords.close()


def wanted(content: bytes = PNG, content_type: str = "image/png", **fields: Any) -> RequestUpload:
    return RequestUpload(content_type, len(content), hashlib.sha256(content).hexdigest(), **fields)


async def ask(house: MemoryHouse, user_id: str = "alice", content: bytes = PNG, **fields: Any) -> Upload:
    return await house.house.media.request_upload(user_id, wanted(content, **fields))


async def upload(house: MemoryHouse, user_id: str = "alice", content: bytes = PNG, **fields: Any) -> str:
    """Ask for an upload and carry it out; return the key."""
    granted = await ask(house, user_id, content, **fields)
    house.files.put(granted.media_key, content, fields.get("content_type", "image/png"))
    return granted.media_key


def frame(key: str, content_type: str = "image", name: str = "", conversation_id: str = DM, **changes: Any) -> Any:
    content = {"mediaKey": key, "mimeType": "image/png", "size": len(PNG), **changes}
    raw = msgspec.Raw(msgspec.json.encode(content))
    return frames.Send(name or f"c-{key}-{conversation_id}", content_type, raw, conversation_id)


async def send(house: MemoryHouse, user_id: str, key: str, **fields: Any) -> frames.Ack:
    ack = await house.house.messages.send_and_wait(DeviceRef(user_id, "d1"), frame(key, **fields))
    await house.settle()
    return ack


async def code_of(work: Any) -> str:
    """Return the code of the refusal that ``work`` ends in; empty: it is let in."""
    try:
        await work
    except CooeeError as refusal:
        return refusal.code.value
    return ""


async def seen_by(house: MemoryHouse, key: str, *user_ids: str) -> list[str]:
    return [user for user in user_ids if await code_of(house.house.media.download(user, key)) == ""]


# --- uploading --------------------------------------------------------------------------------------------------------


async def test_an_upload_is_bound_to_what_was_asked_for(house: MemoryHouse) -> None:
    granted = await ask(house, filename="cat.png")
    assert granted.upload_url == f"/blobs/{granted.media_key}?size={len(PNG)}"
    assert (granted.method, granted.headers) == ("PUT", {"content-type": "image/png"})
    assert granted.expires_at == house.clock.wall_ms() + 5 * 60_000
    assert granted.parts is None


async def test_a_large_file_is_uploaded_in_parts_each_with_its_time() -> None:
    house = MemoryHouse(media=MediaConfig(part_bytes=5 * 1024 * 1024))
    sha256 = hashlib.sha256(b"").hexdigest()
    wish = RequestUpload("video/mp4", 20 * 1024 * 1024 + 1, sha256)
    granted = await house.house.media.request_upload("alice", wish)
    assert granted.upload_url is None
    assert granted.parts is not None
    assert len(granted.parts.requests) == 3
    assert granted.expires_at == house.clock.wall_ms() + 5 * 5 * 60_000
    house.house.passwords.close()


async def test_parts_are_joined_by_whom_the_upload_was_granted_to(house: MemoryHouse) -> None:
    granted = await ask(house)
    assert await code_of(house.house.media.complete("bob", granted.media_key, "u1")) == "not_found"
    assert await code_of(house.house.media.complete("alice", "nonsense", "u1")) == "not_found"
    assert await code_of(house.house.media.complete("alice", granted.media_key, "u1")) == "conflict"
    house.files.put(granted.media_key, HTML, "image/png")
    assert await code_of(house.house.media.complete("alice", granted.media_key, "u1")) == "bad_frame"
    house.files.put(granted.media_key, PNG, "image/png")
    assert await code_of(house.house.media.complete("alice", granted.media_key, "u1")) == ""


@pytest.mark.parametrize(
    "wish",
    [
        wanted(content_type="IMAGE/PNG"),
        wanted(content_type="image/png; charset=x"),
        wanted(content_type="nonsense"),
        wanted(filename="a/b"),
        wanted(filename="x" * 256),
        wanted(filename="a\0b"),
    ],
)
async def test_a_malformed_wish_is_refused(house: MemoryHouse, wish: RequestUpload) -> None:
    assert await code_of(house.house.media.request_upload("alice", wish)) == "bad_frame"


async def test_each_type_has_its_largest_size() -> None:
    house = MemoryHouse(media=MediaConfig(image_bytes=10, document_bytes=20))
    for content_type, allowed in (("image/png", 10), ("application/pdf", 20)):
        with pytest.raises(CooeeError) as caught:
            await house.house.media.request_upload("alice", RequestUpload(content_type, allowed + 1, "0" * 64))
        assert caught.value.code is ErrorCode.TOO_LARGE
        assert caught.value.extra == {"allowed": allowed}
        await house.house.media.request_upload("alice", RequestUpload(content_type, allowed, "0" * 64))
    house.house.passwords.close()


async def test_each_upload_tells_what_of_the_quota_is_used(house: MemoryHouse) -> None:
    first = await ask(house)
    second = await ask(house, content=PNG * 100)
    assert (first.used_bytes, second.used_bytes) == (LEAST_COUNTED, LEAST_COUNTED + 100 * len(PNG))
    assert second.quota_bytes == MediaConfig().user_quota_bytes
    assert (await ask(house, media_key=first.media_key)).used_bytes is None


async def test_the_quota_is_told_and_races_do_not_get_past_it() -> None:
    house = MemoryHouse(media=MediaConfig(user_quota_bytes=3 * LEAST_COUNTED))
    outcomes = await asyncio.gather(*(code_of(ask(house)) for _ in range(10)))
    assert sorted(outcomes) == [""] * 3 + ["too_large"] * 7
    with pytest.raises(CooeeError) as caught:
        await ask(house)
    assert caught.value.extra == {"used": 3 * LEAST_COUNTED, "allowed": 3 * LEAST_COUNTED}
    assert str(3 * LEAST_COUNTED) in caught.value.message
    assert await code_of(ask(house, "bob")) == ""
    house.house.passwords.close()


async def test_uploads_are_counted_per_user() -> None:
    house = MemoryHouse(media_uploads=per_minute(2))
    assert [await code_of(ask(house)) for _ in range(3)] == ["", "", "rate_limited"]
    assert await code_of(ask(house, "bob")) == ""
    house.house.passwords.close()


async def test_an_upload_can_be_asked_for_again_by_its_key(house: MemoryHouse) -> None:
    key = (await ask(house)).media_key
    again = await ask(house, media_key=key)
    assert (again.media_key, again.uploaded) == (key, False)
    assert again.upload_url
    assert await code_of(ask(house, "bob", media_key=key)) == "not_found"
    assert await code_of(ask(house, content=HTML, media_key=key)) == "conflict"
    house.files.put(key, PNG, "image/png")
    assert (await ask(house, media_key=key)).uploaded


# --- sending ----------------------------------------------------------------------------------------------------------


async def test_a_file_is_sent_and_both_may_download_it(house: MemoryHouse) -> None:
    key = await upload(house, filename="cat.png")
    assert await seen_by(house, key, "alice", "bob") == [], "nobody has looked at it yet"
    ack = await send(house, "alice", key, caption="the cat")
    assert ack.sequence_number == 1
    assert await seen_by(house, key, "alice", "bob", "carol") == ["alice", "bob"]


async def test_what_is_not_uploaded_is_not_sent(house: MemoryHouse) -> None:
    granted = await ask(house)
    assert await code_of(send(house, "alice", granted.media_key)) == "not_found"
    assert await code_of(send(house, "alice", "k" * 22)) == "not_found"
    house.files.put(granted.media_key, PNG, "image/png")
    assert await code_of(send(house, "alice", granted.media_key)) == ""


async def test_tampered_content_is_not_sent(house: MemoryHouse) -> None:
    granted = await ask(house)
    house.files.put(granted.media_key, PNG[:-1] + b"x", "image/png")
    assert await code_of(send(house, "alice", granted.media_key)) == "bad_frame"
    house.files.put(granted.media_key, PNG + b"x", "image/png")
    assert await code_of(send(house, "alice", granted.media_key)) == "bad_frame"


async def test_what_is_said_in_the_message_is_what_was_uploaded(house: MemoryHouse) -> None:
    key = await upload(house)
    assert await code_of(send(house, "alice", key, size=1)) == "bad_frame"
    assert await code_of(send(house, "alice", key, mimeType="image/jpeg")) == "bad_frame"
    assert await code_of(send(house, "alice", key, content_type="document")) == ""


async def test_html_is_no_picture_whatever_it_says(house: MemoryHouse) -> None:
    key = await upload(house, content=HTML)
    refusal = await code_of(send(house, "alice", key, size=len(HTML)))
    assert refusal == "bad_frame"
    assert await seen_by(house, key, "alice", "bob") == []
    assert house.house.media_checks.refused == {"bad_frame": 1}


async def test_an_encrypted_file_goes_with_no_message_in_clear(house: MemoryHouse) -> None:
    key = await upload(house, encrypted=True)
    assert await code_of(send(house, "alice", key, mimeType=OCTETS, content_type="document")) == "bad_frame"


async def test_ones_own_encrypted_file_can_be_fetched_before_any_message_holds_it(house: MemoryHouse) -> None:
    granted = await ask(house, content=PNG, encrypted=True)
    assert await code_of(house.house.media.download("alice", granted.media_key)) == "not_found"  # it is not there yet
    house.files.put(granted.media_key, PNG, OCTETS)
    assert (await house.house.media.download("alice", granted.media_key)).size == len(PNG)
    assert await code_of(house.house.media.download("bob", granted.media_key)) == "not_found"
    in_clear = await upload(house)
    assert await code_of(house.house.media.download("alice", in_clear)) == "not_found"  # nobody looked at it yet


async def test_a_strangers_key_cannot_be_sent_and_is_not_told_from_none(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    for guessed in (key, "g" * 32):
        with pytest.raises(CooeeError) as caught:
            await send(house, "carol", guessed, conversation_id="dm:bob:carol")
        assert (caught.value.code, caught.value.message) == (ErrorCode.NOT_FOUND, "the file was not found")
    assert await seen_by(house, key, "carol") == []


async def test_who_has_got_a_file_may_pass_it_on(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    looks = house.files.stats
    await send(house, "bob", key, conversation_id="dm:bob:carol")
    assert house.files.stats == looks, "it never changes, and was looked at"
    assert await seen_by(house, key, "alice", "bob", "carol") == ["alice", "bob", "carol"]


async def test_a_key_in_a_text_opens_nothing(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key, conversation_id="dm:alice:bob")
    await house.send(DeviceRef("bob", "d1"), "dm:bob:carol", key)
    text = frames.Send("c9", "text", msgspec.Raw(b'"hi"'), DM, media_keys=(key,))
    assert await code_of(house.house.messages.send_and_wait(DeviceRef("alice", "d1"), text)) == "bad_frame"
    assert await seen_by(house, key, "carol") == []


async def test_a_resend_gets_its_first_place_also_when_the_file_is_gone(house: MemoryHouse) -> None:
    key = await upload(house)
    first = await send(house, "alice", key)
    again = await send(house, "alice", key)
    assert again.sequence_number == first.sequence_number == 1
    await house.house.messages.delete_for_everyone(DeviceRef("alice", "d1"), DM, 1)
    house.clock.advance(100 * 3600)
    assert await house.house.collector.collect() == 1
    assert (await send(house, "alice", key)).sequence_number == 1
    assert await code_of(send(house, "alice", key, name="another")) == "not_found"


async def test_a_store_that_does_not_answer_is_told_and_the_message_may_be_sent_again(house: MemoryHouse) -> None:
    key = await upload(house)
    house.files.refuse = True
    assert await code_of(send(house, "alice", key)) == "unavailable"
    house.files.refuse = False
    assert (await send(house, "alice", key)).sequence_number == 1


async def test_membership_and_blocks_hold_for_files_too(house: MemoryHouse) -> None:
    key = await upload(house)
    assert await code_of(send(house, "alice", key, conversation_id="group:none")) == "not_a_member"
    assert await code_of(send(house, "alice", key, conversation_id="dm:bob:carol")) == "not_a_member"
    await send(house, "alice", key)
    await house.house.contacts.put(DeviceRef("bob", "d1"), "block", "alice")
    assert await code_of(send(house, "alice", key, name="later")) == "blocked"
    assert await seen_by(house, key, "alice", "bob") == ["alice", "bob"], "what was sent stays"


# --- order ------------------------------------------------------------------------------------------------------------


class SlowStat:
    """Holds the store's answers back until they are let go."""

    def __init__(self, house: MemoryHouse, patch: pytest.MonkeyPatch) -> None:
        self._stat = house.files.stat
        self.go = asyncio.Event()
        patch.setattr(house.files, "stat", self.stat)

    async def stat(self, key: str) -> Any:
        await self.go.wait()
        return await self._stat(key)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0.001)


def text(name: str, conversation_id: str = DM) -> frames.Send:
    return frames.Send(name, "text", msgspec.Raw(b'"hi"'), conversation_id)


async def test_what_the_same_device_sends_behind_a_file_waits_and_nothing_else_does(
    house: MemoryHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await upload(house)
    slow = SlowStat(house, monkeypatch)
    told: list[Any] = []
    messages = house.house.messages
    alice, tablet = DeviceRef("alice", "d1"), DeviceRef("alice", "d2")
    messages.send(alice, frame(key, name="file"), told.append)
    messages.send(alice, text("behind"), told.append)
    messages.send(alice, text("elsewhere", "dm:alice:carol"), told.append)
    messages.send(tablet, text("tablet"), told.append)
    messages.send(DeviceRef("bob", "d1"), text("bob"), told.append)
    await settle()
    assert {ack.client_message_id for ack in told} == {"elsewhere", "tablet", "bob"}
    slow.go.set()
    await settle()
    assert [(ack.client_message_id, ack.sequence_number) for ack in told[3:]] == [("file", 3), ("behind", 4)]
    assert house.house.line.waiting == {}


async def test_a_file_that_is_refused_lets_those_behind_it_go(
    house: MemoryHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await upload(house, content=HTML), await upload(house)
    slow = SlowStat(house, monkeypatch)
    told: list[Any] = []
    alice = DeviceRef("alice", "d1")
    house.house.messages.send(alice, frame(bad, name="bad", size=len(HTML)), told.append)
    house.house.messages.send(alice, text("one"), told.append)
    house.house.messages.send(alice, frame(good, name="good"), told.append)
    house.house.messages.send(alice, text("two"), told.append)
    slow.go.set()
    await settle()
    assert [answer.client_message_id for answer in told if isinstance(answer, frames.Error)] == ["bad"]
    acks = [(ack.client_message_id, ack.sequence_number) for ack in told if isinstance(ack, frames.Ack)]
    assert acks == [("one", 1), ("good", 2), ("two", 3)]


async def test_the_line_behind_a_file_is_bounded(house: MemoryHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await upload(house)
    slow = SlowStat(house, monkeypatch)
    told: list[Any] = []
    alice = DeviceRef("alice", "d1")
    house.house.messages.send(alice, frame(key, name="file"), told.append)
    for number in range(300):
        house.house.messages.send(alice, text(f"t{number}"), told.append)
    assert {answer.code for answer in told} == {"rate_limited"}
    assert len(told) == 45
    slow.go.set()
    await settle()
    assert sum(isinstance(answer, frames.Ack) for answer in told) == 256


# --- downloading ------------------------------------------------------------------------------------------------------


async def ready(house: MemoryHouse, key: str, details: MediaDetails) -> None:
    await house.store.media.update(key, MediaState.READY, msgspec.json.encode(details))


async def test_a_link_is_the_same_for_all_within_an_hour_and_good_for_another(house: MemoryHouse) -> None:
    key = await upload(house, filename="cat.png")
    await send(house, "alice", key)
    one = await house.house.media.download("alice", key)
    other = await house.house.media.download("bob", key)
    assert one == other
    assert one.expires_at % HOUR_MS == 0
    assert HOUR_MS < one.expires_at - house.clock.wall_ms() <= 2 * HOUR_MS
    assert one.url.startswith(f"http://store.test/blobs/{key}?type=image/png&name=cat.png&inline=True")
    assert (one.size, one.sha256) == (len(PNG), hashlib.sha256(PNG).hexdigest())


async def test_a_cdn_takes_the_place_of_scheme_and_host() -> None:
    house = MemoryHouse(media=MediaConfig(cdn_base_url="https://cdn.example.org"))
    for user_id in ("alice", "bob"):
        await house.user(user_id)
    key = await upload(house)
    await send(house, "alice", key)
    link = await house.house.media.download("bob", key)
    assert link.url.startswith(f"https://cdn.example.org/blobs/{key}?type=image/png")
    house.house.passwords.close()


async def test_a_document_is_never_shown_in_place(house: MemoryHouse) -> None:
    for content_type in ("text/html", "image/svg+xml", "application/pdf"):
        content = b"%PDF-1.7" if content_type == "application/pdf" else HTML
        key = await upload(house, content=content, content_type=content_type)
        await send(house, "alice", key, content_type="document", mimeType=content_type, size=len(content))
        assert "inline=False" in (await house.house.media.download("bob", key)).url


async def test_what_turned_out_to_be_something_else_is_given_out_as_bytes(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    await ready(house, key, MediaDetails(content_type="image/gif"))
    link = await house.house.media.download("bob", key)
    assert link.content_type == OCTETS
    assert f"type={OCTETS}" in link.url
    assert "inline=False" in link.url


async def test_a_thumbnail_is_there_once_it_was_made(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    assert await code_of(house.house.media.download("bob", key, thumbnail=True)) == "not_found"
    thumbnail = ThumbnailDetails(7, "ab" * 32, "image/webp")
    await ready(house, key, MediaDetails("image/png", 4, 3, blurhash="LEHV6n", thumbnail=thumbnail))
    link = await house.house.media.download("bob", key, thumbnail=True)
    assert f"/blobs/{key}.thumb?" in link.url
    assert (link.content_type, link.size, link.sha256) == ("image/webp", 7, "ab" * 32)
    whole = await house.house.media.download("bob", key)
    assert (whole.thumbnail, whole.width, whole.height, whole.blurhash) == (True, 4, 3, "LEHV6n")
    for key_of_thumbnail in (f"{key}.thumb", f"{key}/../x"):
        assert await code_of(house.house.media.download("bob", key_of_thumbnail)) == "not_found"
    assert await code_of(house.house.media.download("carol", key, thumbnail=True)) == "not_found"


# --- ending -----------------------------------------------------------------------------------------------------------


async def test_what_no_message_holds_is_collected_after_its_time(house: MemoryHouse) -> None:
    kept, dropped = await upload(house), await upload(house)
    await send(house, "alice", kept)
    house.clock.advance(23 * 3600)
    assert await house.house.collector.collect() == 0
    house.clock.advance(2 * 3600)
    assert await house.house.collector.collect() == 1
    assert set(house.files.objects) == {kept}
    assert await code_of(send(house, "alice", dropped)) == "not_found"
    assert (house.house.collector.collected, house.house.collector.collected_bytes) == (1, len(PNG))


async def test_a_file_whose_message_is_on_its_way_is_not_collected(house: MemoryHouse) -> None:
    key = await upload(house)
    house.clock.advance(24 * 3600 - 1)
    house.house.messages.send(DeviceRef("alice", "d1"), frame(key), lambda _answer: None)
    await settle()
    house.clock.advance(2)
    assert await house.house.collector.collect() == 0
    assert await seen_by(house, key, "bob") == ["bob"]


async def test_a_file_goes_with_its_last_message_and_its_thumbnail_with_it(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    await send(house, "bob", key, conversation_id="dm:bob:carol")
    house.files.put(f"{key}.thumb", b"small", "image/webp")
    house.clock.advance(25 * 3600)
    await house.house.messages.delete_for_everyone(DeviceRef("alice", "d1"), DM, 1)
    assert await seen_by(house, key, "alice", "bob", "carol") == ["alice", "bob", "carol"]
    assert await house.house.collector.collect() == 0
    await house.house.messages.delete_for_everyone(DeviceRef("bob", "d1"), "dm:bob:carol", 1)
    assert await seen_by(house, key, "bob", "carol") == []
    assert await house.house.collector.collect() == 1
    assert house.files.objects == {}


async def test_a_file_that_was_sent_in_error_is_gone_ten_minutes_later(house: MemoryHouse) -> None:
    key = await upload(house)
    await send(house, "alice", key)
    await house.house.messages.delete_for_everyone(DeviceRef("alice", "d1"), DM, 1)
    house.clock.advance(SEND_HOLD_MS / 1000)
    assert await house.house.collector.collect() == 1
    assert house.files.objects == {}


async def test_a_store_that_fails_at_collecting_is_asked_again(house: MemoryHouse) -> None:
    await upload(house)
    house.clock.advance(25 * 3600)
    house.files.refuse = True
    assert await code_of(house.house.collector.collect()) == "unavailable"
    house.files.refuse = False
    assert await house.house.collector.collect() == 1
    assert await house.house.collector.collect() == 0
