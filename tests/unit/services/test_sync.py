"""Catching up: pages, own changes, tokens."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from cooee.adapters.memory.preferences import MemoryPreferences
from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError, ErrorCode, not_a_member
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.domain.message import Envelope
from cooee.ports.timeline import Missed, Page
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.services import sync as sync_module
from cooee.services.sync import OwnEntries, Sync, SyncStores
from cooee.services.sync_tokens import SyncTokens
from tests.fakes.message_scene import MessageScene

DM = "dm:alice:bob"
BOB = DeviceRef("bob", "d1")


class Entry(msgspec.Struct):
    """A stand-in for a conversation's entry in the list."""

    conversation_id: str


class Entries:
    """Snapshots of conversations; those in ``lost`` are none of the user's any more."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.failure: CooeeError = not_a_member()

    async def one(self, _device: DeviceRef, conversation_id: str) -> Entry:
        if conversation_id in self.lost:
            raise self.failure
        return Entry(conversation_id)


async def account_of(user_id: str) -> Entry:
    return Entry(user_id)


class SyncScene(MessageScene):
    """A scene with the sync service."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.preferences = MemoryPreferences()
        self.entries = Entries()
        self.sync = self.sync_with("e1")

    def sync_with(self, epoch: str) -> Sync:
        stores = SyncStores(self.store, self.store, self.preferences, self.clock)  # type: ignore[arg-type]  # what is read is there
        return Sync(stores, self.views, self.limits, OwnEntries(self.entries, account_of), SyncTokens(epoch))


@pytest.fixture
async def scene() -> AsyncIterator[SyncScene]:
    async with SyncScene() as scene:
        await scene.people("alice", "bob", "carol")
        yield scene


def listed(page: frames.Messages) -> list[int]:
    found = []
    for raw in page.messages:
        frame = decode_server(bytes(raw))
        assert isinstance(frame, frames.MessageFrame)
        found.append(frame.sequence_number)
    return found


async def test_missed_and_position_are_the_devices(scene: SyncScene) -> None:
    await scene.send("alice", DM)
    await scene.send("alice", DM)
    await scene.received("bob", DM, 1)
    assert await scene.sync.missed(BOB) == [Missed(DM, 1, 2)]
    assert await scene.sync.position(BOB, DM) == 1


async def test_history_pages_both_ways(scene: SyncScene) -> None:
    for _ in range(6):
        await scene.send("alice", DM)
    page = await scene.sync.history(BOB, frames.Fetch(DM, after=1, limit=3, ref="f1"))
    assert (listed(page), page.covered_from, page.covered_through) == ([2, 3, 4], 2, 4)
    assert (page.complete, page.ref, page.conversation_id) == (False, "f1", DM)
    page = await scene.sync.history(BOB, frames.Fetch(DM, before=4, limit=2))
    assert (listed(page), page.covered_from, page.covered_through, page.complete) == ([2, 3], 2, 3, False)
    page = await scene.sync.history(BOB, frames.Fetch(DM))
    assert (listed(page), page.complete) == ([1, 2, 3, 4, 5, 6], True)


async def test_history_is_bounded(scene: SyncScene) -> None:
    for _ in range(5):
        await scene.send("alice", DM)
    scene.limits = Limits(max_page=3)
    page = await scene.sync_with("e1").history(BOB, frames.Fetch(DM, after=0, limit=2**53 - 1))
    assert listed(page) == [1, 2, 3]


@pytest.mark.parametrize("forward", [True, False])
async def test_a_page_of_large_messages_is_cut_and_says_what_it_covers(*, forward: bool) -> None:
    async with SyncScene(Limits(outbox_bytes=6000)) as scene:
        await scene.people("alice", "bob")
        for _ in range(6):
            await scene.send("alice", DM, "x" * 1000)
        page = await scene.sync.history(BOB, frames.Fetch(DM, after=0) if forward else frames.Fetch(DM, before=7))
        assert listed(page) == ([1, 2] if forward else [5, 6])
        assert (page.covered_from, page.covered_through) == ((1, 2) if forward else (5, 6))
        assert not page.complete


async def test_one_message_that_is_too_large_alone_still_comes() -> None:
    async with SyncScene(Limits(outbox_bytes=100)) as scene:
        await scene.people("alice", "bob")
        await scene.send("alice", DM, "x" * 1000)
        page = await scene.sync.history(BOB, frames.Fetch(DM, after=0))
        assert (listed(page), page.complete) == ([1], True)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (frames.Fetch(DM, after=1, before=5), "bad_frame"),
        (frames.Fetch(DM, limit=0), "bad_frame"),
        (frames.Fetch(DM, before=0), "bad_frame"),
        (frames.Fetch("dm:bob:alice"), "bad_frame"),
        (frames.Fetch("dm:alice:carol"), "not_a_member"),
        (frames.Fetch("group:unknown"), "not_a_member"),
    ],
)
async def test_impossible_pages_are_refused(scene: SyncScene, frame: frames.Fetch, code: str) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.sync.history(BOB, frame)
    assert caught.value.code == code


async def test_reading_is_confined_to_the_users_spans(scene: SyncScene) -> None:
    await scene.group("group:g", "alice", "carol")
    for _ in range(4):
        await scene.send("alice", "group:g")
    scene.store.old_spans["group:g", "bob"] = (Span(2, 3),)
    page = await scene.sync.read_after(BOB, "group:g", 0, 10)
    assert [message.sequence_number for message in page.messages] == [2, 3]
    with pytest.raises(CooeeError) as caught:
        await scene.sync.read_after(DeviceRef("dave", "d1"), "group:g", 0, 10)
    assert caught.value.code is ErrorCode.NOT_A_MEMBER


async def test_a_device_gets_its_own_envelope_only(scene: SyncScene) -> None:
    await scene.send("alice", DM)
    [message] = scene.store.messages[DM]
    sealed = (Envelope("alice", "d1", "wrong"), Envelope("bob", "d2", "wrong"), Envelope("bob", "d1", "mine"))
    message = msgspec.structs.replace(message, envelopes=sealed)
    [encoded] = await scene.sync.page_frames(BOB, Page((message,), 1, 1, complete=True))
    assert b'"envelope":"mine"' in encoded
    assert b"wrong" not in encoded


# --- own changes


async def test_a_new_device_gets_a_token_and_no_changes(scene: SyncScene) -> None:
    await scene.preferences.note_change("bob", DM)
    assert await scene.sync.own_changes(BOB, None) == ([], f"e1.{await scene.preferences.position('bob')}")


async def test_changes_since_a_token_come_once(scene: SyncScene) -> None:
    _, token = await scene.sync.own_changes(BOB, None)
    first = await scene.preferences.note_change("bob", DM)
    second = await scene.preferences.note_change("bob", "")
    found, newer = await scene.sync.own_changes(BOB, token)
    conversation, account = map(decode_server, found)
    assert isinstance(conversation, frames.ConversationChanged)
    assert conversation.conversation == msgspec.Raw(b'{"conversation_id":"dm:alice:bob"}')
    assert isinstance(account, frames.AccountChanged)
    assert (account.changed, account.account) == ("account", msgspec.Raw(b'{"conversation_id":"bob"}'))
    assert (conversation.sync_token, account.sync_token, newer) == (
        f"e1.{first}",
        f"e1.{second}",
        f"e1.{second}",
    )
    assert await scene.sync.own_changes(BOB, newer) == ([], newer)


async def test_a_conversation_that_is_none_of_the_users_is_left_out(scene: SyncScene) -> None:
    scene.entries.lost.add("group:g")
    await scene.preferences.note_change("bob", "group:g")
    newest = await scene.preferences.note_change("bob", DM)
    found, token = await scene.sync.own_changes(BOB, "e1.0")
    assert (len(found), token) == (1, f"e1.{newest}")
    scene.entries.failure = CooeeError(ErrorCode.UNAVAILABLE, "later")
    with pytest.raises(CooeeError):
        await scene.sync.own_changes(BOB, "e1.0")


@pytest.mark.parametrize("token", ["e0.1", "e1.99", "", "garbage", "e1.-1", "e1.\u0661", "e1." + "9" * 30])
async def test_a_token_of_another_store_says_read_everything(scene: SyncScene, token: str) -> None:
    newest = f"e1.{await scene.preferences.note_change('bob', DM)}"
    found, newer = await scene.sync.own_changes(BOB, token)
    assert [decode_server(one) for one in found] == [frames.AccountChanged("everything", sync_token=newest)]
    assert newer == newest


async def test_too_many_changes_say_read_everything(scene: SyncScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "MAX_CHANGES", 3)
    positions = [await scene.preferences.note_change("bob", f"group:{number}") for number in range(4)]
    found, _ = await scene.sync.own_changes(BOB, "e1.0")
    assert len(found) == 1
    assert b"everything" in found[0]
    found, _ = await scene.sync.own_changes(BOB, f"e1.{positions[0]}")
    assert len(found) == 3


async def test_reads_may_run_side_by_side(scene: SyncScene) -> None:
    await scene.send("alice", DM)
    pages = await asyncio.gather(*(scene.sync.history(BOB, frames.Fetch(DM)) for _ in range(3)))
    assert [listed(page) for page in pages] == [[1]] * 3


async def test_what_is_older_than_the_retention_goes_only_to_who_lacks_it(scene: SyncScene) -> None:
    await scene.send("alice", "dm:alice:bob")
    await scene.received("bob", "dm:alice:bob", 1)
    scene.clock.advance(31 * 86_400)
    await scene.send("alice", "dm:alice:bob")
    for device_id, expected in (("d1", [2]), ("d2", [1, 2])):
        answer = await scene.sync.history(DeviceRef("bob", device_id), frames.Fetch("dm:alice:bob"))
        numbers = [msgspec.json.decode(one)["sequenceNumber"] for one in answer.messages]
        assert numbers == expected
        assert (answer.covered_from, answer.covered_through, answer.complete) == (1, 2, True)
