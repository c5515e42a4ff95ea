"""The local store: what it has committed is there again, and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cooee.client.database import DATABASE_NAME, connect
from cooee.client.errors import StoreUnusable
from cooee.client.model import message_of
from cooee.client.outbox import failed
from cooee.client.schema import MIGRATIONS
from cooee.client.state import ConversationState, ServerCount, State
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from tests.fakes.client_frames import CHAT, GROUP, ME, ack, page, pending, said, told
from tests.fakes.client_store import STORE_KEY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path, STORE_KEY)
    yield opened
    opened.close()


def commit(store: Store, state: State, *taken: frames.ServerFrame, token: str | None = None) -> Turn:
    turn = Turn(state)
    for frame in taken:
        turn.take(frame)
    turn.sync_token = token
    turn.finish()
    store.commit(turn)
    turn.install()
    return turn


def after_a_kill(store: Store, at: Path) -> Store:
    """Return what another process finds if this one is killed now: the files as they are."""
    at.mkdir()
    for file in store.path.parent.glob(f"{DATABASE_NAME}*"):
        shutil.copy(file, at / file.name)
    return Store(at, STORE_KEY)


def comparable(state: State) -> dict[str, ConversationState]:
    return {
        key: msgspec.structs.replace(conversation, early=tuple(piece for piece in conversation.early if piece.messages))
        for key, conversation in state.conversations.items()
    }


def test_a_killed_client_finds_the_state_as_it_was_committed(store: Store, tmp_path: Path) -> None:
    state = store.load(ME)
    state.outbox.add(store.put_pending(pending("k1")))
    state.outbox.add(store.put_pending(pending("k2", GROUP)))
    commit(store, state, said(1), ack("k1", 2), said(5), frames.Receipt(CHAT, "read", 2, "bob"), token="t1")
    commit(store, state, told(1, "group_created", name="G", members=["alice", "bob"]), frames.TimelineHint(GROUP, 9))
    found = after_a_kill(store, tmp_path / "copy").load(ME)
    assert comparable(found) == comparable(state)
    assert found.sync_token == "t1"
    assert [entry.client_message_id for entry in found.outbox.entries()] == ["k2"]


def test_between_any_two_steps_of_sending_a_message_is_in_the_outbox_or_in_the_history_never_in_both_or_neither(
    store: Store, tmp_path: Path
) -> None:
    state = store.load(ME)
    entry = store.put_pending(pending("k1"))
    state.outbox.add(entry)
    written = after_a_kill(store, tmp_path / "written")
    assert [pending.client_message_id for pending in written.load(ME).outbox.entries()] == ["k1"]
    assert written.find_sent("k1") is None

    state.outbox.due(0)
    sent = after_a_kill(store, tmp_path / "sent")
    again = next(iter(sent.load(ME).outbox.entries()))
    assert again.frame() == entry.frame(), "the re-send is the same message"

    commit(store, state, ack("k1", 1))
    acked = after_a_kill(store, tmp_path / "acked")
    assert not list(acked.load(ME).outbox.entries())
    assert acked.find_sent("k1") is not None


def test_a_turn_that_cannot_be_stored_changes_nothing(store: Store, tmp_path: Path) -> None:
    state = store.load(ME)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    turn = Turn(state)
    for number in range(1, 200):
        turn.take(said(number, "x" * 2000))
    with pytest.raises(StoreUnusable, match="free some space"):
        store.commit(turn)
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert state.find(CHAT) is None
    assert store.load(ME).find(CHAT) is None
    store.commit(turn)
    assert store.load(ME).conversations[CHAT].position == 199


def test_failed_messages_stay_to_be_seen(store: Store, tmp_path: Path) -> None:
    state = store.load(ME)
    state.outbox.add(store.put_pending(pending("k1")))
    turn = Turn(state)
    turn.fail(failed(pending("k1"), "blocked", "no"))
    store.commit(turn)
    found = after_a_kill(store, tmp_path / "copy").load(ME).outbox.find_failed("k1")
    assert found is not None
    assert found.code == "blocked"


def test_the_order_of_writing_survives(store: Store) -> None:
    for key in ("k3", "k1", "k2"):
        store.put_pending(pending(key))
    store.replace_pending("k3", pending("k9"))
    assert [entry.client_message_id for entry in store.load(ME).outbox.entries()] == ["k1", "k2", "k9"]
    store.drop_pending("k1")
    assert [entry.client_message_id for entry in store.load(ME).outbox.entries()] == ["k2", "k9"]


def test_another_device_begins_without_the_sync_token(store: Store) -> None:
    commit(store, store.load(ME), token="t1")
    assert store.load(ME).sync_token == "t1"
    assert store.load(DeviceRef("alice", "d2")).sync_token is None


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, STORE_KEY).close()
    db = connect(tmp_path / DATABASE_NAME, STORE_KEY)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreUnusable, match="newer version"):
        Store(tmp_path, STORE_KEY)


def test_a_damaged_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"this is no database, and never was one" * 100)
    with pytest.raises(StoreUnusable, match=DATABASE_NAME):
        Store(tmp_path, STORE_KEY)


def test_the_store_is_its_owners_alone(store: Store) -> None:
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_commits_are_durable(store: Store) -> None:
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- unread


def test_unread_counts_what_others_say_and_was_not_read(store: Store) -> None:
    state = store.load(ME)
    commit(
        store,
        state,
        said(1),
        said(2),
        said(3, sender="alice", device="d2"),
        told(4, "message_deleted", chat=CHAT, sequenceNumber=2),
        said(5, silent=True),
        said(6),
    )
    assert store.unread(state.conversations[CHAT]) == 2
    turn = Turn(state)
    turn.mark_read(CHAT, 1)
    turn.install()
    assert store.unread(state.conversations[CHAT]) == 1


def test_unread_of_what_is_not_held_is_the_servers_count(store: Store) -> None:
    new_device = ConversationState(
        CHAT, learned=True, start=50, position=50, head=52, read=40, counted=ServerCount(9, 40, 52)
    )
    assert store.unread(new_device) == 9
    state = State(ME, [new_device])
    commit(store, state, said(51), said(52), said(53))
    assert store.unread(state.conversations[CHAT]) == 10
    turn = Turn(state)
    turn.mark_read(CHAT, 52)
    turn.install()
    assert store.unread(state.conversations[CHAT]) == 1


def test_unread_is_capped(store: Store) -> None:
    state = store.load(ME)
    commit(store, state, *[said(number) for number in range(1, 1003)])
    assert store.unread(state.conversations[CHAT]) == 999


# --- history


def test_history_is_complete_from_where_this_device_holds_everything(store: Store) -> None:
    state = store.load(ME)
    commit(store, state, *[said(number) for number in range(1, 8)])
    found, bottom = store.history(state.conversations[CHAT], 6, 3)
    assert [message.sequence_number for message in found.messages] == [3, 4, 5]
    assert (found.complete, bottom) == (False, 1)
    found, _ = store.history(state.conversations[CHAT], 3, 3)
    assert [message.sequence_number for message in found.messages] == [1, 2]
    assert found.complete


def test_fetched_pages_join_what_is_held(store: Store) -> None:
    conversation = ConversationState(CHAT, learned=True, start=10, position=10, head=10)
    nothing, bottom = store.history(conversation, 11, 5)
    assert (nothing.messages, bottom) == ((), 11)
    store.put_history(ME, CHAT, [message_of(said(number)) for number in (9, 10)], 8, 10)
    store.put_history(ME, CHAT, [message_of(said(number)) for number in (5, 6)], 5, 7)
    found, bottom = store.history(conversation, 11, 9)
    assert [message.sequence_number for message in found.messages] == [5, 6, 9, 10]
    assert (found.complete, bottom) == (False, 5)
    store.put_history(ME, CHAT, [], 1, 4)
    assert store.history(conversation, 11, 9)[0].complete


def test_a_hole_ends_what_is_held(store: Store) -> None:
    conversation = ConversationState(CHAT, learned=True, start=10, position=10)
    store.put_history(ME, CHAT, [message_of(said(2))], 1, 2)
    store.put_history(ME, CHAT, [message_of(said(9))], 9, 10)
    found, bottom = store.history(conversation, 11, 9)
    assert [message.sequence_number for message in found.messages] == [9]
    assert (found.complete, bottom) == (False, 9)


def test_an_old_page_does_not_bring_a_deleted_message_back(store: Store) -> None:
    state = store.load(ME)
    commit(store, state, said(1), told(2, "message_deleted", chat=CHAT, sequenceNumber=1))
    store.put_history(ME, CHAT, [message_of(said(1, "secret"))], 1, 1)
    found, _ = store.history(state.conversations[CHAT], 2, 5)
    assert [(message.deleted, message.content) for message in found.messages] == [(True, None)]
    assert store.search("secret", None, 5) == []


def test_a_message_deleted_before_it_was_ever_held_stays_deleted(store: Store) -> None:
    state = State(ME, [ConversationState(CHAT, learned=True, start=5, position=5)])
    commit(store, state, told(6, "message_deleted", chat=CHAT, sequenceNumber=3))
    store.put_history(ME, CHAT, [message_of(said(3, "secret"))], 1, 5)
    found, _ = store.history(state.conversations[CHAT], 6, 9)
    assert [message.content_type for message in found.messages] == ["deleted"]


def test_search_takes_its_text_literally(store: Store) -> None:
    state = store.load(ME)
    commit(
        store, state, said(1, "100% sure"), said(2, "100 sure"), said(3, "a_b"), said(1, "Sure", chat="dm:alice:carol")
    )
    assert [message.text for message in store.search("100%", None, 9)] == ["100% sure"]
    assert [message.text for message in store.search("a_b", None, 9)] == ["a_b"]
    assert {message.text for message in store.search("sure", None, 9)} == {"100% sure", "100 sure", "Sure"}
    assert [message.text for message in store.search("sure", "dm:alice:carol", 9)] == ["Sure"]


def test_early_messages_are_kept_over_a_restart(store: Store) -> None:
    state = store.load(ME)
    commit(store, state, said(1), said(4))
    found = store.load(ME)
    assert found.conversations[CHAT].has_gap
    turn = Turn(found)
    turn.take(page(said(2), said(3), first=2, through=3))
    assert turn.conversations[CHAT].position == 4
