"""Turns that open and seal: what is stored with what, and what is dropped together."""

from typing import Any

import msgspec
import pytest

from cooee.client.bodies import UNSUPPORTED
from cooee.client.e2ee.results import (
    BadKeyDropped,
    DeviceListed,
    DeviceUnlisted,
    KeyChanged,
    Letter,
    MessageKey,
    NeedsLink,
    Notice,
    NotYet,
    Opened,
    OwnStateTold,
    Problem,
    Refused,
    Sealed,
    Unreadable,
)
from cooee.client.events import (
    DeviceLinked,
    DeviceUnlinked,
    EncryptionChanged,
    EncryptionProblem,
    LinkNeeded,
    MessageUpdated,
    SetupProgress,
    TickChanged,
    ToDevice,
)
from cooee.client.events import KeyChanged as KeyChangedEvent
from cooee.client.model import Message, Pending
from cooee.client.state import ConversationState, State
from cooee.client.turn import Turn
from cooee.client.unsealing import DOUBTS
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from cooee.protocol.body import OwnConversation

ME = DeviceRef("alice", "d1")
CHAT = "dm:alice:bob"
GROUP = "group:00000000-0000-7000-8000-000000000001"


class Step:
    """A draft that answers as it is told, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[int, Opened | Unreadable] = {}
        self.sealing: Sealed | NotYet | Refused = Sealed()
        self.calls: list[tuple[Any, ...]] = []
        self.notices: list[Notice] = []
        self.message_keys: list[MessageKey] = []
        self.installed = 0

    def open(self, frame: frames.MessageFrame, key: bytes | None = None) -> Opened | Unreadable:
        self.calls.append(("open", frame.sequence_number, key))
        return self.answers[frame.sequence_number]

    def seal(self, letter: Letter) -> Sealed | NotYet | Refused:
        self.calls.append(("seal", letter.client_message_id))
        return self.sealing

    def records(self) -> dict[tuple[str, str], bytes | None]:
        return {("session", "bob/d7"): b"state"}

    def install(self) -> None:
        self.installed += 1

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


class Agent:
    """Gives the one step."""

    def __init__(self) -> None:
        self.step = Step()
        self.drafts = 0

    def draft(self, now: int) -> Step:
        assert now == 5_000
        self.drafts += 1
        return self.step


@pytest.fixture
def agent() -> Agent:
    return Agent()


def state(*pending: Pending, **fields: Any) -> State:
    return State(ME, [ConversationState(CHAT, learned=True, **fields)], pending, "token")


def turn_of(agent: Agent, held: State | None = None) -> Turn:
    return Turn(held or state(), 1, agent, 5_000)  # type: ignore[arg-type]  # as much of an agent as a turn needs


def frame(number: int, sender: str = "bob", device: str = "d7", **fields: Any) -> frames.MessageFrame:
    usual: dict[str, Any] = {"content_type": "encrypted", "content": msgspec.Raw(b'"sealed"'), "envelope": "env"}
    return frames.MessageFrame(
        f"{700 + number}", CHAT, number, sender, device, f"c{number}", 1_000 + number, **(usual | fields)
    )


REFERENCE = "f" * 21 + "Q"


def opened(**body: Any) -> Opened:
    return Opened(msgspec.json.encode(body))


def waiting(key: str = "c1", **fields: Any) -> Pending:
    letter = Letter(CHAT, key, "content", bytes(32))
    return Pending(key, CHAT, "d1", 1, "text", "hi", body='{"kind":"text","text":"hi"}', letter=letter, **fields)


def test_a_message_is_opened_once_and_stored_with_the_step_that_opened_it(agent: Agent) -> None:
    agent.step.answers = {1: opened(kind="text", text="hello", replyTo=REFERENCE, mentions=["alice"])}
    agent.step.message_keys = [MessageKey(CHAT, 1, "bob", "d7", "c1", b"k" * 32)]
    turn = turn_of(agent)
    turn.take(frame(1))
    turn.take(frame(1))
    turn.finish()
    message = turn.messages[CHAT, 1]
    assert (message.text, message.encrypted, message.problem) == ("hello", True, "")
    assert (message.reply_to, message.reply_reference, message.mentions) == (None, REFERENCE, ("alice",))
    assert message.envelope is None
    assert agent.step.calls == [("open", 1, None)]
    assert turn.records == {("session", "bob/d7"): b"state"}
    assert [key.key for key in turn.message_keys] == [b"k" * 32]
    assert turn.events == [message]
    assert not turn.is_empty
    turn.install()
    assert agent.step.installed == 1


def test_what_is_held_already_is_not_opened_again(agent: Agent) -> None:
    agent.step.answers = {3: opened(kind="text", text="three")}
    held = state(position=1, head=1)
    turn = turn_of(agent, held)
    turn.take(frame(1))
    turn.take(frame(3))
    turn.finish().install()
    again = turn_of(agent, held)
    again.take(frame(3))
    again.take(frames.Skipped(CHAT, 2, 2, "left"))
    again.finish()
    assert agent.step.calls == [("open", 3, None)], "number 1 is held, number 3 waits readable for number 2"
    assert [event.text for event in again.events if isinstance(event, Message)] == ["three"]


def test_what_cannot_be_read_is_kept_with_its_ciphertext(agent: Agent) -> None:
    agent.step.answers = {1: Unreadable("waiting", "NoSession"), 2: opened(kind="poll", question="?")}
    turn = turn_of(agent)
    turn.take(frame(1))
    turn.take(frame(2))
    turn.finish()
    one, two = turn.messages[CHAT, 1], turn.messages[CHAT, 2]
    assert (one.content_type, one.content, one.envelope, one.problem) == ("encrypted", "sealed", "env", "waiting")
    assert (two.content_type, two.content, two.problem) == (UNSUPPORTED, None, UNSUPPORTED)


def test_without_an_agent_encrypted_messages_stay_as_they_came() -> None:
    turn = Turn(state())
    turn.take(frame(1))
    turn.take(frames.ToDevice(4, "bob", "d7", "blob"))
    turn.finish()
    assert turn.messages[CHAT, 1].content_type == "encrypted"
    assert [type(event) for event in turn.events] == [Message, ToDevice]
    assert not turn.keeps_to_device
    with pytest.raises(RuntimeError, match="off"):
        _ = turn.draft


def test_a_blob_is_taken_in_once_and_its_place_is_stored(agent: Agent) -> None:
    held = state()
    turn = turn_of(agent, held)
    for number in (4, 4, 5, 3):
        turn.take(frames.ToDevice(number, "bob", "d7", f"blob{number}"))
    turn.finish().install()
    assert [call[1].content for call in agent.step.calls] == ["blob4", "blob5"]
    assert (turn.keeps_to_device, held.to_device, turn.events) == (True, 5, [])


def test_controls_are_hidden_and_change_what_they_mean(agent: Agent) -> None:
    agent.step.answers = {
        1: opened(kind="reaction", target=REFERENCE, emoji="👍"),
        2: opened(kind="edit", target="e" * 21 + "Q", text="new"),
        3: opened(kind="delete", target="d" * 21 + "Q"),
        4: opened(kind="timer", expiresIn=9_000),
        5: opened(kind="timer", expiresIn=0),
    }
    turn = turn_of(agent)
    for number in (1, 2, 3, 4):
        turn.take(frame(number, silent=True))
    assert turn.conversation(CHAT).timer == 9_000
    turn.take(frame(5, silent=True))
    turn.finish()
    assert [(one.target, one.user_id, one.emoji) for one in turn.reactions] == [(REFERENCE, "bob", "👍")]
    assert [(one.target, one.user_id, one.text) for one in turn.edits] == [
        ("e" * 21 + "Q", "bob", "new"),
        ("d" * 21 + "Q", "bob", None),
    ]
    assert (turn.conversation(CHAT).timer, turn.conversation(CHAT).timer_at) == (0, 5)
    assert [event.control for event in turn.events if isinstance(event, Message)] == ["timer", "timer"]
    assert not any(message.counts_as_unread for message in turn.messages.values())


def test_the_time_of_disappearing_messages_runs_from_reading(agent: Agent) -> None:
    agent.step.answers = {
        1: opened(kind="text", text="x", expiresIn=500),
        2: opened(kind="text", text="mine", expiresIn=500),
    }
    turn = turn_of(agent)
    turn.take(frame(1))
    turn.take(frame(2, sender="alice", device="d2"))
    assert (turn.messages[CHAT, 1].expires_in, turn.messages[CHAT, 1].expires_at) == (500, 0)
    assert turn.messages[CHAT, 2].expires_at == 1_002 + 500
    turn.mark_read(CHAT, 1)
    turn.mark_read(CHAT, 2)
    assert turn.read_at == {CHAT: (0, 2, 5_000)}


def test_an_own_message_that_comes_back_is_known_by_its_entry(agent: Agent) -> None:
    held = state(waiting())
    turn = turn_of(agent, held)
    turn.take(frame(1, "alice", "d1"))
    turn.finish().install()
    message = turn.messages[CHAT, 1]
    assert (message.text, message.encrypted) == ("hi", True)
    assert [call[0] for call in agent.step.calls] == ["placed"]
    assert held.outbox.find("c1") is None


def test_what_waits_is_sealed_then_sent_and_its_key_kept(agent: Agent) -> None:
    held = state(waiting())
    assert held.outbox.due(0) == []
    turn = turn_of(agent, held)
    turn.seal_due()
    turn.finish().install()
    [entry] = held.outbox.due(0)
    assert entry.frame().content_type == "encrypted"
    after = turn_of(agent, held)
    after.take(frames.Ack("sent", None, "c1", "701", CHAT, 1, 1_001))
    after.finish()
    assert agent.step.calls == [("seal", "c1"), ("placed", entry.letter, 1)]
    assert [type(event) for event in after.events] == [TickChanged]


def test_what_is_for_other_devices_is_sealed_again_and_never_failed(agent: Agent) -> None:
    held = state(waiting(sealed=Sealed()))
    [_] = held.outbox.due(0)
    error = frames.Error("mismatched_devices", "other devices", retryable=False, client_message_id="c1")
    turn = turn_of(agent, held)
    turn.take(error)
    turn.seal_due()
    turn.finish().install()
    assert agent.step.calls == [("mismatched", CHAT, error)], "it is sealed by the next step"
    assert held.outbox.due(0) == []
    assert [entry.client_message_id for entry in held.outbox.to_seal(set())] == ["c1"]
    again = turn_of(agent, held)
    again.seal_due()
    again.finish().install()
    assert len(held.outbox.due(1)) == 1


def test_a_device_that_is_said_not_to_be_linked_looks_again_before_it_gives_up(agent: Agent) -> None:
    held = state(waiting(sealed=Sealed()))
    error = frames.Error("forbidden", "link it first", retryable=False, client_message_id="c1")
    for _ in range(DOUBTS):
        turn = turn_of(agent, held)
        turn.take(error)
        turn.finish().install()
        assert held.outbox.find("c1") is not None
    assert agent.step.calls == [("look_up", "alice")] * DOUBTS
    turn = turn_of(agent, held)
    turn.take(error)
    turn.finish().install()
    failed = held.outbox.find_failed("c1")
    assert failed is not None
    assert failed.code == "forbidden"


def test_what_can_never_be_sealed_fails(agent: Agent) -> None:
    agent.step.sealing = Refused("not_linked", "link it first")
    held = state(waiting(), waiting("c2"))
    turn = turn_of(agent, held)
    turn.seal_due()
    turn.finish().install()
    failed = held.outbox.find_failed("c1")
    assert failed is not None
    assert (failed.code, failed.reason) == ("not_linked", "link it first")
    assert [event.status for event in turn.events if isinstance(event, TickChanged)] == ["failed"]


def test_progress_is_told_when_it_is_one(agent: Agent) -> None:
    held = state(waiting())
    told = []
    for answer in (NotYet("sessions", 0, 9), NotYet("sessions", 0, 9), NotYet("sessions", 4, 9), Sealed()):
        agent.step.sealing = answer
        turn = turn_of(agent, held)
        turn.seal_due()
        turn.finish().install()
        told += turn.events
    assert told == [SetupProgress(CHAT, done, 9) for done in (0, 4, 9)]


def test_answers_about_blobs_reach_the_agent(agent: Agent) -> None:
    turn = turn_of(agent)
    turn.take(frames.Ack("sent", None, "out1"))
    turn.take(frames.Error("rate_limited", "slow", retryable=True, client_message_id="out2", retry_after_ms=70))
    turn.take(frames.AccountChanged("devices"))
    assert agent.step.calls == [
        ("to_device_acked", "out1"),
        ("to_device_refused", "out2", "rate_limited", 70),
        ("look_up", "alice"),
    ]


def test_messages_whose_key_came_are_told_again(agent: Agent) -> None:
    agent.step.answers = {1: opened(kind="text", text="at last"), 2: Unreadable("waiting", "bad_key")}
    agent.step.notices = [BadKeyDropped(CHAT, 2)]
    sealed = [Message(CHAT, n, f"{700 + n}", "bob", "d7", f"c{n}", n, "encrypted", "sealed") for n in (1, 2)]
    turn = turn_of(agent)
    turn.heal([(message, b"k" * 32) for message in sealed])
    turn.finish()
    assert [event.message.text for event in turn.events if isinstance(event, MessageUpdated)] == ["at last"]
    assert set(turn.dropped_keys) == {(CHAT, 2)}
    assert agent.step.calls == [("open", 1, b"k" * 32), ("open", 2, b"k" * 32)]


def test_a_key_that_comes_in_the_turn_of_its_message_opens_it_at_once(agent: Agent) -> None:
    agent.step.answers = {n: Unreadable("waiting", "no_session") for n in (1, 2, 3, 4)}
    turn = turn_of(agent)
    for number in (1, 2, 3, 4):
        turn.take(frame(number))
    assert [event.problem for event in turn.events if isinstance(event, Message)] == ["waiting"] * 4
    agent.step.answers = {
        1: opened(kind="text", text="hello"),
        2: opened(kind="reaction", target=REFERENCE, emoji="!"),
        3: opened(kind="timer", expiresIn=9_000),
    }
    agent.step.message_keys = [MessageKey(CHAT, n, "bob", "d7", f"c{n}", b"k" * 32) for n in (1, 2, 3)]
    turn.take_control(frames.ToDevice(1, "bob", "d7", "blob"))
    turn.finish()
    shown = [event for event in turn.events if isinstance(event, Message)]
    assert [(one.sequence_number, one.text, one.problem) for one in shown if not one.event and not one.control] == [
        (1, "hello", ""),
        (4, "", "waiting"),
    ]
    assert shown[0] is turn.messages[CHAT, 1]
    assert [one.target for one in turn.reactions] == [REFERENCE]
    assert turn.conversations[CHAT].timer == 9_000
    assert not any(isinstance(event, MessageUpdated) for event in turn.events)


def test_a_timer_whose_key_came_late_is_set_all_the_same(agent: Agent) -> None:
    agent.step.answers = {1: opened(kind="timer", expiresIn=9_000), 2: opened(kind="timer", expiresIn=7_000)}
    sealed = [Message(CHAT, n, f"{700 + n}", "bob", "d7", f"c{n}", n, "encrypted", "sealed") for n in (2, 1)]
    turn = turn_of(agent)
    turn.heal([(message, b"k" * 32) for message in sealed])
    turn.finish()
    assert turn.conversations[CHAT].timer == 7_000


def test_a_page_of_history_opens_what_is_not_readable_yet(agent: Agent) -> None:
    agent.step.answers = {2: opened(kind="text", text="two"), 3: opened(kind="reaction", target=REFERENCE, emoji="!")}
    one = Message(CHAT, 1, "701", "bob", "d7", "c1", 1, "text", "one", encrypted=True)
    known: dict[int, Message | bytes] = {1: one, 2: b"k" * 32}
    raw = tuple(msgspec.Raw(msgspec.json.encode(frame(number))) for number in (1, 2, 3))
    turn = turn_of(agent)
    turn.page(frames.Messages(CHAT, raw, 1, 3, complete=False), lambda wanted: known.get(wanted.sequence_number))
    turn.finish()
    [page] = turn.pages
    assert [message.text for message in page.messages] == ["one", "two", ""]
    assert (page.first, page.through, len(turn.reactions)) == (1, 3, 1)
    assert agent.step.calls == [("open", 2, b"k" * 32), ("open", 3, None)]


def test_the_mode_follows_the_newest_message_that_sets_it(agent: Agent) -> None:
    turn = turn_of(agent)
    for number, mode in ((1, "plain"), (2, "encrypted"), (3, "sideways")):
        content = msgspec.Raw(msgspec.json.encode({"event": "settings_changed", "encryption": mode}))
        turn.take(frame(number, content_type="system", content=content))
    turn.take(frame(4, content_type="text", content=msgspec.Raw(b'"in the clear"')))
    turn.finish()
    assert (turn.conversation(CHAT).plain, turn.conversation(CHAT).mode_at) == (False, 2)
    told = [event.mode for event in turn.events if isinstance(event, EncryptionChanged)]
    assert told == ["plain", "encrypted"]
    assert not turn.messages[CHAT, 4].encrypted


def test_the_server_cannot_have_a_conversation_written_in_the_clear(agent: Agent) -> None:
    for sender in ("bob", "alice"):
        turn = turn_of(agent)
        content = msgspec.Raw(msgspec.json.encode({"event": "settings_changed", "encryption": "plain"}))
        turn.take(frame(1, sender, "", content_type="system", content=content))
        turn.finish()
        conversation = turn.conversation(CHAT)
        assert (conversation.plain, conversation.told_plain, conversation.mode_at) == (False, True, 1)
        assert EncryptionChanged(CHAT, "plain", sender) in turn.events


def test_what_is_in_the_clear_by_choice_stays_so_until_somebody_encrypts(agent: Agent) -> None:
    turn = turn_of(agent, state(plain=True))
    for number, mode in ((1, "plain"), (2, "encrypted"), (3, "plain")):
        content = msgspec.Raw(msgspec.json.encode({"event": "settings_changed", "encryption": mode}))
        turn.take(frame(number, content_type="system", content=content))
        assert turn.conversation(CHAT).plain is (number == 1)


def test_an_own_device_agrees_for_this_one_too(agent: Agent) -> None:
    agent.step.notices = [OwnStateTold((OwnConversation(conversation_id=CHAT, mode="plain"),))]
    turn = turn_of(agent, state(mode_at=3, told_plain=True))
    _ = turn.draft
    turn.finish()
    assert turn.conversation(CHAT).plain


def test_system_messages_of_groups_reach_the_agent(agent: Agent) -> None:
    turn = Turn(State(ME, [ConversationState(GROUP, learned=True)]), 1, agent, 5_000)  # type: ignore[arg-type]
    content = msgspec.Raw(msgspec.json.encode({"event": "member_left", "userIds": ["bob"]}))
    turn.take(msgspec.structs.replace(frame(1, content_type="system", content=content), conversation_id=GROUP))
    [(name, told)] = agent.step.calls
    assert (name, told.sequence_number, msgspec.json.decode(told.content)["userIds"]) == ("system", 1, ["bob"])


def test_every_notice_is_told_as_an_event_of_its_own(agent: Agent) -> None:
    agent.step.notices = [
        KeyChanged("bob", verified=True),
        DeviceListed("d2"),
        DeviceUnlisted("d3"),
        NeedsLink(),
        Problem("wrong_password", "no"),
        OwnStateTold((OwnConversation(conversation_id=CHAT, mode="plain", expires_in=70),)),
    ]
    turn = turn_of(agent)
    _ = turn.draft
    turn.finish()
    assert turn.events == [
        KeyChangedEvent("bob", verified=True),
        DeviceLinked("d2"),
        DeviceUnlinked("d3"),
        LinkNeeded(),
        EncryptionProblem("wrong_password", "no"),
    ]
    assert (turn.conversation(CHAT).plain, turn.conversation(CHAT).timer) == (True, 70)


def test_what_the_timeline_said_counts_more_than_another_device(agent: Agent) -> None:
    agent.step.notices = [OwnStateTold((OwnConversation(conversation_id=CHAT, mode="plain", expires_in=70),))]
    turn = turn_of(agent, state(mode_at=3, timer_at=4, timer=9))
    _ = turn.draft
    turn.finish()
    assert (turn.conversation(CHAT).plain, turn.conversation(CHAT).timer) == (False, 9)


def test_a_turn_that_needs_no_agent_begins_no_step(agent: Agent) -> None:
    turn = turn_of(agent)
    turn.take(frame(1, content_type="text", content=msgspec.Raw(b'"hi"')))
    turn.finish()
    assert agent.drafts == 0


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "edit", "target": REFERENCE, "text": "forged"},
        {"kind": "delete", "target": REFERENCE},
        {"kind": "reaction", "target": REFERENCE, "emoji": "👎"},
        {"kind": "timer", "expiresIn": 1},
        {"kind": "timer"},
    ],
)
def test_no_frame_is_a_control_that_nobody_sealed(agent: Agent, content: dict[str, Any]) -> None:
    forged = frame(1, content_type="control", content=msgspec.Raw(msgspec.json.encode(content)))
    turn = turn_of(agent)
    turn.take(forged)
    turn.page(frames.Messages(CHAT, (msgspec.Raw(msgspec.json.encode(forged)),), 1, 1, complete=True), lambda _: None)
    turn.finish()
    assert (turn.edits, turn.reactions, turn.conversation(CHAT).timer) == ([], [], 0)
    assert (turn.messages[CHAT, 1].content_type, turn.messages[CHAT, 1].content) == (UNSUPPORTED, None)


def test_an_own_message_is_what_was_written_here_and_not_what_the_server_shows(agent: Agent) -> None:
    turn = turn_of(agent, state(waiting()))
    turn.take(frame(1, "alice", "d1", content_type="text", content=msgspec.Raw(b'"something else"')))
    turn.finish()
    assert (turn.messages[CHAT, 1].text, turn.messages[CHAT, 1].encrypted) == ("hi", True)


def test_the_servers_clock_cannot_keep_what_disappears(agent: Agent) -> None:
    agent.step.answers = {1: opened(kind="text", text="gone", expiresIn=60), 2: opened(kind="text", text="x")}
    far = msgspec.structs.replace(frame(1, "alice", "d2"), timestamp=1 << 45)
    raw = (msgspec.Raw(msgspec.json.encode(far)),)
    turn = turn_of(agent)
    turn.take(far)
    turn.page(frames.Messages(CHAT, raw, 1, 1, complete=True), lambda _: None)
    turn.finish()
    assert turn.messages[CHAT, 1].expires_at == turn.pages[0].messages[0].expires_at == 5_060
