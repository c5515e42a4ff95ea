"""Into the outbox first."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooee.client.errors import SendFailed
from cooee.client.ledger import Ledger
from cooee.client.live import Live
from cooee.client.model import Message, Pending
from cooee.client.outbox import EXPIRES_AFTER_MS, failed
from cooee.client.sending import Sending
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.crypto.content import ContentKey, open_body
from cooee.domain import base64url
from cooee.protocol import frames
from cooee.protocol.body import MAX_BODY_BYTES, ReactionBody, TextBody, TimerBody, decode_body
from tests.fakes.client_frames import CHAT, GROUP, ME, ack, pending
from tests.fakes.client_store import STORE_KEY


class Desk:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.live = Live(ledger.state)
        self.woken = 0
        self.sending = Sending(ledger, self.live, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def stored(self) -> list[Pending]:
        return list((await self.ledger.run(self.ledger.store.load, ME)).outbox.entries())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    ledger = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    yield Desk(ledger)
    await ledger.close()


async def test_a_text_is_stored_before_it_can_be_sent(desk: Desk) -> None:
    entry = await desk.sending.text("bob", "hi", silent=True)
    assert await desk.stored() == [entry]
    assert (entry.conversation_id, entry.device_id, entry.silent) == (CHAT, "d1", True)
    [frame] = desk.live.due(0)
    assert isinstance(frame, frames.Send)
    assert (frame.client_message_id, bytes(frame.content)) == (entry.client_message_id, b'"hi"')
    assert desk.woken == 1


async def test_ids_are_new_and_ordered(desk: Desk) -> None:
    ids = [(await desk.sending.text("bob", "hi")).client_message_id for _ in range(20)]
    assert len(set(ids)) == 20
    assert [entry.client_message_id for entry in desk.sending.entries()] == ids


@pytest.mark.parametrize(
    ("to", "conversation_id"), [("bob", CHAT), ("aaron", "dm:aaron:alice"), ("alice", "dm:alice:alice"), (GROUP, GROUP)]
)
def test_where_a_message_goes(tmp_path: Path, to: str, conversation_id: str) -> None:
    store = Store(tmp_path, STORE_KEY)
    ledger = Ledger(store, store.load(ME))
    assert Sending(ledger, Live(ledger.state), lambda: None).conversation_id(to) == conversation_id
    store.close()


@pytest.mark.parametrize(
    ("to", "text", "code"),
    [
        ("Bob!", "hi", "bad_frame"),
        ("dm:bob:alice", "hi", "bad_frame"),
        ("bob", "", "bad_frame"),
        ("bob", "\udc80", "bad_frame"),
        ("bob", "é" * 25_000, "too_large"),
    ],
)
async def test_what_can_never_be_sent_is_not_stored(desk: Desk, to: str, text: str, code: str) -> None:
    with pytest.raises(SendFailed) as refused:
        await desk.sending.text(to, text)
    assert refused.value.code == code
    assert await desk.stored() == []


async def test_what_becomes_of_an_entry(desk: Desk) -> None:
    entry = await desk.sending.text("bob", "hi")
    assert await desk.sending.find(entry.client_message_id) is None
    await desk.ledger.step(lambda turn: turn.take(ack(entry.client_message_id, 1)))
    sent = await desk.sending.find(entry.client_message_id)
    assert sent is not None
    assert (sent.sequence_number, sent.text) == (1, "hi")
    with pytest.raises(SendFailed, match="no such message"):
        await desk.sending.find("never")


async def test_a_failed_entry_is_sent_again_as_a_new_message_or_forgotten(desk: Desk) -> None:
    entry = await desk.sending.text("bob", "hi")
    await desk.ledger.step(lambda turn: turn.fail(failed(entry, "blocked", "no")))
    with pytest.raises(SendFailed) as refused:
        await desk.sending.find(entry.client_message_id)
    assert refused.value.code == "blocked"
    again = await desk.sending.retry(entry.client_message_id)
    assert again.client_message_id != entry.client_message_id
    assert (again.status, again.code) == ("pending", "")
    assert await desk.stored() == [again]
    await desk.ledger.step(lambda turn: turn.fail(failed(again, "blocked", "no")))
    await desk.sending.discard(again.client_message_id)
    assert await desk.stored() == []
    with pytest.raises(KeyError):
        await desk.sending.retry(again.client_message_id)
    with pytest.raises(KeyError):
        await desk.sending.discard(again.client_message_id)


async def test_what_is_too_old_is_given_up(desk: Desk) -> None:
    entry = await desk.sending.text("bob", "hi")
    await desk.sending.expire(entry.created_at + EXPIRES_AFTER_MS)
    assert [kept.status for kept in await desk.stored()] == ["pending"]
    await desk.sending.expire(entry.created_at + EXPIRES_AFTER_MS + 1)
    assert [(kept.status, kept.code) for kept in await desk.stored()] == [("failed", "expired")]


async def test_what_another_device_wrote_is_given_up(desk: Desk) -> None:
    foreign = await desk.ledger.run(desk.ledger.store.put_pending, pending("k1", device="old"))
    desk.ledger.state.outbox.add(foreign)
    mine = await desk.sending.text("bob", "hi")
    await desk.sending.give_up_foreign()
    assert {entry.client_message_id: entry.code for entry in await desk.stored()} == {
        "k1": "device_changed",
        mine.client_message_id: "",
    }


@pytest.fixture
async def secret(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk whose client encrypts."""
    (tmp_path / "secret").mkdir()
    ledger = await Ledger.open(Store(tmp_path / "secret", STORE_KEY), ME, encrypts=True)
    yield Desk(ledger)
    await ledger.close()


async def test_an_encrypted_text_is_enclosed_before_it_is_stored(secret: Desk) -> None:
    answered = Message(CHAT, 1, "701", "bob", "d7", "c1", 1_000, "text", "hi", encrypted=True)
    await secret.ledger.step(lambda turn: turn.messages.update({(CHAT, 1): answered}))
    entry = await secret.sending.text("bob", "psst", reply_to="701", mentions=("bob",))
    assert (entry.reply_to, entry.reply_reference) == ("701", answered.reference)
    assert entry.letter is not None
    assert await secret.stored() == [entry]
    assert (entry.text, entry.preview, entry.encrypted, entry.ready) == ("psst", "", True, False)
    assert "psst" not in entry.letter.content
    assert secret.live.due(0) == [], "it waits until it is sealed"
    plain = open_body(
        ContentKey(entry.letter.key), base64url.decode(entry.letter.content), CHAT, ME, entry.client_message_id
    )
    assert decode_body(plain) == TextBody(text="psst", reply_to=answered.reference, mentions=("bob",))


async def test_what_is_not_held_or_is_the_servers_own_is_not_answered(secret: Desk) -> None:
    joined = Message(CHAT, 1, "701", "bob", "", "c1", 1_000, "system", {"event": "member_joined"})
    await secret.ledger.step(lambda turn: turn.messages.update({(CHAT, 1): joined}))
    for message_id in ("700", "701"):
        with pytest.raises(SendFailed) as failed_:
            await secret.sending.text("bob", "psst", reply_to=message_id)
        assert failed_.value.code == "not_found"
    assert await secret.stored() == []


async def test_a_plain_conversation_is_written_in_the_clear(secret: Desk) -> None:
    await secret.ledger.step(lambda turn: _change(turn, plain=True))
    entry = await secret.sending.text("bob", "hello there")
    assert (entry.encrypted, entry.preview) == (False, "hello there")
    with pytest.raises(SendFailed) as failed_:
        await secret.sending.control(CHAT, ReactionBody(target="f" * 21 + "Q", emoji="!"))
    assert failed_.value.code == "not_encrypted"


async def test_the_timer_of_a_conversation_goes_with_what_is_written(secret: Desk) -> None:
    await secret.ledger.step(lambda turn: _change(turn, timer=700))
    entry = await secret.sending.text("bob", "soon gone")
    assert entry.expires_in == 700
    placed = entry.placed(ME, "701", 1, 5_000)
    assert (placed.expires_at, placed.expires_in, placed.encrypted) == (5_700, 700, True)
    timer = await secret.sending.control(CHAT, TimerBody(expires_in=0))
    assert (timer.expires_in, timer.silent, timer.content) == (0, True, {"kind": "timer", "expiresIn": 0})


async def test_what_is_too_long_or_malformed_never_enters_the_outbox(secret: Desk) -> None:
    with pytest.raises(SendFailed) as failed_:
        await secret.sending.text("bob", "x" * (MAX_BODY_BYTES + 1))
    assert failed_.value.code == "too_large"
    with pytest.raises(SendFailed) as failed_:
        await secret.sending.control(CHAT, ReactionBody(target="no id", emoji="!"))
    assert failed_.value.code == "bad_frame"
    assert await secret.stored() == []


async def test_a_retry_is_enclosed_under_another_key(secret: Desk) -> None:
    entry = await secret.sending.text("bob", "again")
    await secret.ledger.step(lambda turn: turn.fail(failed(entry, "not_linked", "link it")))
    again = await secret.sending.retry(entry.client_message_id)
    assert entry.letter is not None
    assert again.letter is not None
    assert again.letter.key != entry.letter.key
    assert again.letter.client_message_id == again.client_message_id != entry.client_message_id
    assert await secret.stored() == [again]


def _change(turn: Turn, **changes: Any) -> None:
    turn.change(CHAT, **changes)
