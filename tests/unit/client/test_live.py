"""What the client says on a connection, and when."""

import pytest

from cooee.client.live import FETCH_AGAIN_MS, GAP_GRACE_MS, PAGE, RECEIVED_WITHIN_MS, Live
from cooee.client.outbox import ANSWER_WITHIN_MS
from cooee.client.state import State
from cooee.client.turn import Turn
from cooee.protocol import frames
from tests.fakes.client_frames import CHAT, GROUP, ME, ack, page, pending, said, take, told, welcome


class Talk:
    """A client on a connection, its clock in the test's hand."""

    def __init__(self, *, window: int = 256, follow: bool = False, state: State | None = None) -> None:
        self.state = state or State(ME)
        self.live = Live(self.state, follow=follow)
        self.now = 0
        self.live.connected(welcome(window=window), 0, heartbeat=True)

    def hear(self, *taken: frames.ServerFrame) -> Turn:
        self.live.heard(self.now)
        turn = take(self.state, *taken, now=self.now)
        for frame in taken:
            self.live.answered(frame, self.now)
        self.live.absorb(turn, self.now)
        return turn

    def wish(self, number: int | None) -> None:
        turn = Turn(self.state, self.now)
        turn.mark_read(CHAT, number)
        turn.finish().install()
        self.live.absorb(turn, self.now)

    def say(self, after_ms: int = 0) -> list[frames.ClientFrame]:
        self.now += after_ms
        return self.live.due(self.now)

    def again(self) -> None:
        self.state.outbox.disconnected()
        self.live.connected(welcome(), self.now, heartbeat=True)


def received(number: int, chat: str = CHAT) -> frames.Received:
    return frames.Received(chat, number)


def test_one_received_covers_what_came_within_a_moment() -> None:
    talk = Talk()
    talk.hear(said(1))
    assert talk.say() == []
    assert talk.live.next_due(talk.now) == RECEIVED_WITHIN_MS <= 500
    talk.now = 50
    talk.hear(said(2))
    assert talk.say(49) == []
    assert talk.say(1) == [received(2)]
    assert talk.say(10_000) == []


def test_half_a_window_is_acknowledged_at_once() -> None:
    talk = Talk(window=8)
    talk.hear(*[said(number) for number in range(1, 4)])
    assert talk.say() == []
    talk.hear(said(4))
    assert talk.say() == [received(4)]


def test_nothing_early_is_acknowledged() -> None:
    talk = Talk()
    talk.hear(said(1), said(3))
    assert received(1) in talk.say(RECEIVED_WITHIN_MS)
    assert talk.state.conversations[CHAT].has_gap


def test_own_messages_are_acknowledged_too_in_case_the_server_did_not_count_them_as_held() -> None:
    talk = Talk(state=State(ME, pending=[pending("k1")]))
    talk.hear(said(1))
    assert [type(frame) for frame in talk.say()] == [frames.Send]
    assert talk.say(RECEIVED_WITHIN_MS) == [received(1)]
    talk.hear(ack("k1", 2))
    assert talk.say(RECEIVED_WITHIN_MS) == [received(2)]


def test_an_own_message_above_others_is_acknowledged_with_them() -> None:
    talk = Talk(state=State(ME, pending=[pending("k1")]))
    talk.hear(said(1))
    talk.say(RECEIVED_WITHIN_MS)
    talk.hear(ack("k1", 3))
    talk.hear(said(2))
    assert talk.say(RECEIVED_WITHIN_MS) == [received(3)]


def test_what_the_server_sends_again_is_acknowledged_again() -> None:
    talk = Talk()
    talk.hear(said(1), said(2))
    assert talk.say(RECEIVED_WITHIN_MS) == [received(2)]
    talk.hear(said(2))
    assert talk.say(RECEIVED_WITHIN_MS) == [received(2)]


def test_a_hole_is_fetched_if_it_does_not_fill_itself() -> None:
    talk = Talk()
    talk.hear(said(1), said(3))
    talk.say(RECEIVED_WITHIN_MS)
    assert talk.say(GAP_GRACE_MS - RECEIVED_WITHIN_MS - 1) == []
    [fetch] = talk.say(1)
    assert isinstance(fetch, frames.Fetch)
    assert (fetch.after, fetch.limit) == (1, PAGE)
    talk.hear(page(said(2), first=2, through=2, ref=fetch.ref))
    assert talk.say(RECEIVED_WITHIN_MS) == [received(3)]
    assert talk.say(1_000) == []


def test_a_hole_that_fills_itself_is_not_fetched() -> None:
    talk = Talk()
    talk.hear(said(1), said(3))
    talk.hear(said(2))
    assert talk.say(GAP_GRACE_MS) == [received(3)]


def test_a_page_that_does_not_reach_is_followed_by_the_next() -> None:
    talk = Talk()
    talk.hear(said(1), said(9))
    talk.say(RECEIVED_WITHIN_MS)
    [fetch] = talk.say(GAP_GRACE_MS)
    talk.hear(page(said(2), first=2, through=4, ref=fetch.ref))
    [following] = [frame for frame in talk.say() if isinstance(frame, frames.Fetch)]
    assert following.after == 4


def test_a_page_that_brings_nothing_is_not_asked_for_at_once_again() -> None:
    talk = Talk()
    talk.hear(said(1), said(9))
    talk.say(RECEIVED_WITHIN_MS)
    [fetch] = talk.say(GAP_GRACE_MS)
    talk.hear(page(first=2, through=1, complete=True, ref=fetch.ref))
    assert talk.say(FETCH_AGAIN_MS - 1) == []
    assert [type(frame) for frame in talk.say(1)] == [frames.Fetch]


@pytest.mark.parametrize(("retryable", "expected"), [(True, 1), (False, 0)])
def test_a_refused_fetch_is_repeated_only_if_that_can_help(*, retryable: bool, expected: int) -> None:
    talk = Talk()
    talk.hear(said(1), said(9))
    talk.say(RECEIVED_WITHIN_MS)
    [fetch] = talk.say(GAP_GRACE_MS)
    talk.hear(frames.Error("rate_limited", "later", retryable, fetch.ref, retry_after_ms=700))
    assert talk.say(699) == []
    assert len(talk.say(1)) == expected


def test_an_unanswered_fetch_is_asked_again() -> None:
    talk = Talk()
    talk.hear(said(1), said(9))
    talk.say(RECEIVED_WITHIN_MS)
    talk.say(GAP_GRACE_MS)
    talk.live.heard(talk.now + 9_000)
    assert [type(frame) for frame in talk.say(10_000)] == [frames.Fetch]


def test_a_large_group_is_fetched_when_it_is_open() -> None:
    talk = Talk()
    talk.hear(told(1, "group_created", name="Big", members=["alice", "bob"]))
    talk.say(RECEIVED_WITHIN_MS)
    talk.hear(frames.TimelineHint(GROUP, 300))
    assert talk.say(60_000 - 40_000) == []
    talk.live.open(GROUP, talk.now)
    [fetch] = talk.say()
    assert isinstance(fetch, frames.Fetch)
    talk.hear(page(said(2, chat=GROUP), chat=GROUP, first=2, through=201, ref=fetch.ref))
    following = talk.say(RECEIVED_WITHIN_MS)
    assert received(201, GROUP) in following
    assert any(isinstance(frame, frames.Fetch) and frame.after == 201 for frame in following)


def test_who_follows_fetches_every_large_group() -> None:
    talk = Talk(follow=True)
    talk.hear(told(1, "group_created", name="Big", members=["alice", "bob"]))
    talk.hear(frames.TimelineHint(GROUP, 3))
    assert any(isinstance(frame, frames.Fetch) for frame in talk.say())


def test_an_unknown_chat_is_asked_about_once() -> None:
    talk = Talk()
    talk.hear(said(7))
    talk.hear(said(8))
    queries = [frame for frame in talk.say() if isinstance(frame, frames.WatermarksQuery)]
    assert [query.conversation_ids for query in queries] == [(CHAT,)]


def test_reading_is_said_once_and_again_on_the_next_connection_until_it_is_confirmed() -> None:
    talk = Talk()
    talk.hear(said(1), said(2))
    talk.say(RECEIVED_WITHIN_MS)
    talk.wish(None)
    [read] = talk.say()
    assert isinstance(read, frames.Read)
    assert read.sequence_number == 2
    talk.hear(said(3))
    assert not any(isinstance(frame, frames.Read) for frame in talk.say(RECEIVED_WITHIN_MS))
    talk.again()
    [read] = [frame for frame in talk.say() if isinstance(frame, frames.Read)]
    talk.hear(frames.Receipt(CHAT, "read", 2, "alice", ref=read.ref))
    talk.again()
    assert not any(isinstance(frame, frames.Read) for frame in talk.say())


def test_after_a_reconnect_unsettled_ticks_are_asked_for() -> None:
    talk = Talk(state=State(ME, pending=[pending("k1")]))
    talk.say()
    talk.hear(ack("k1", 1))
    talk.say(RECEIVED_WITHIN_MS)
    talk.again()
    talk.live.caught_up()
    [query] = talk.say()
    assert isinstance(query, frames.WatermarksQuery)
    assert query.conversation_ids == (CHAT,)
    item = frames.ConversationWatermarks(CHAT, 1, 1, 0, (frames.MemberWatermark("bob", 1, 1),))
    talk.hear(frames.Watermarks((item,), query.ref))
    talk.again()
    talk.live.caught_up()
    assert talk.say() == []


def test_the_outbox_is_sent_again_on_a_new_connection() -> None:
    talk = Talk(state=State(ME, pending=[pending("k1")]))
    [first] = talk.say()
    talk.again()
    assert talk.say() == [first]
    talk.live.heard(talk.now + ANSWER_WITHIN_MS)
    assert talk.say(ANSWER_WITHIN_MS) == [first]


def test_watched_users_are_subscribed_again_and_again_after_a_limit() -> None:
    talk = Talk()
    talk.live.watch(["bob"], 0)
    [subscription] = talk.say()
    assert isinstance(subscription, frames.PresenceSubscribe)
    talk.hear(frames.Error("rate_limited", "later", True, subscription.ref, retry_after_ms=100))
    assert talk.say(99) == []
    assert [type(frame) for frame in talk.say(1)] == [frames.PresenceSubscribe]
    talk.again()
    assert [type(frame) for frame in talk.say()] == [frames.PresenceSubscribe]
    talk.live.watch([], talk.now)
    assert [type(frame) for frame in talk.say()] == [frames.PresenceUnsubscribe]


def test_blobs_are_acknowledged_and_again_when_they_come_again() -> None:
    talk = Talk()
    blob = frames.ToDevice(1, "bob", "d7", "x")
    talk.hear(blob)
    assert talk.say() == [frames.ToDeviceReceived(1)]
    assert talk.say() == []
    talk.hear(blob)
    assert talk.say() == [frames.ToDeviceReceived(1)]


def test_a_silent_server_is_asked_and_then_counted_as_gone() -> None:
    talk = Talk()
    assert talk.say(29_999) == []
    assert talk.say(1) == [frames.Ping()]
    assert talk.say(9_999) == []
    assert not talk.live.is_dead(talk.now)
    assert talk.live.is_dead(talk.now + 1)
    talk.hear(frames.Pong(0))
    assert not talk.live.is_dead(talk.now + 20_000)


def test_before_closing_everything_held_is_acknowledged() -> None:
    talk = Talk()
    talk.hear(said(1))
    talk.live.hurry()
    assert talk.say() == [received(1)]
