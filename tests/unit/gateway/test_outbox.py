"""The outbox, case by case; arbitrary sequences are in tests/property."""

from cooee.gateway.outbox import MAX_POSITIONS, Covered, Outbox, Task, Verdict

C = "dm:a:b"
G = "group:g"


def test_an_implausible_watermark_advances_nothing_beyond_what_is_known() -> None:
    outbox = Outbox(10)
    assert outbox.offer(C, 1, b"1", 0.0) is Verdict.SEND
    outbox.received(C, 10**15)
    assert outbox.unacknowledged == 0
    assert outbox.offer(C, 2, b"2", 0.0) is Verdict.SEND


def test_a_watermark_for_an_unknown_conversation_is_nothing() -> None:
    outbox = Outbox(10)
    assert not outbox.received(C, 5)
    assert not outbox.has_work()


def test_an_acknowledgement_of_half_a_run_frees_half_of_it() -> None:
    outbox = Outbox(10)
    for number in range(1, 7):
        outbox.offer(C, number, b"", 0.0)
    outbox.received(C, 4)
    assert outbox.unacknowledged == 2
    assert outbox.awaits(C, 5)
    assert not outbox.awaits(C, 4)
    outbox.received(C, 3)
    assert outbox.unacknowledged == 2


def test_the_steps_follow_the_first_sending() -> None:
    outbox = Outbox(10)
    outbox.offer(C, 1, b"", 100.0)
    assert outbox.due(100.9).resends == 0
    first = outbox.due(101.1)
    assert first.resends == 1
    work = outbox.next_work()
    assert work is not None
    assert (work.task, work.after, work.limit) == (Task.RESEND, 0, 1)
    assert 105.0 <= first.next_at <= 105.1
    assert outbox.due(105.1).resends == 1
    last = outbox.due(106.1)
    assert last.hand_over == [Covered(C, 1)]
    assert last.silent_since == 100.0
    assert last.next_at == 0.0
    assert outbox.due(200.0).hand_over == []


def test_what_waits_for_the_window_is_handed_over_too() -> None:
    outbox = Outbox(1)
    outbox.offer(C, 1, b"", 0.0)
    assert outbox.offer(C, 2, b"", 0.0) is Verdict.DROP
    due = outbox.due(7.0)
    assert set(due.hand_over) == {Covered(C, 1), Covered(C, 2)}
    assert outbox.due(14.0).hand_over == []


def test_a_late_sweep_takes_all_steps_at_once() -> None:
    outbox = Outbox(10)
    outbox.offer(C, 1, b"", 0.0)
    due = outbox.due(60.0)
    assert (due.resends, due.hand_over) == (1, [Covered(C, 1)])


def test_a_conversation_that_became_small_is_read_in_full() -> None:
    outbox = Outbox(10)
    outbox.missed(G, 0, 5, 0.0, large=True)
    assert outbox.next_work() is None
    assert outbox.offer(G, 6, b"", 0.0, large=False) is Verdict.WORK
    work = outbox.next_work()
    assert work is not None
    assert (work.task, work.after, work.head) == (Task.READ, 0, 6)


def test_little_room_is_used_after_some_waiting() -> None:
    outbox = Outbox(8)
    for number in range(1, 9):
        outbox.offer(C, number, b"", 0.0)
    outbox.offer("dm:a:c", 1, b"", 0.0)
    assert outbox.received(C, 1)
    assert not outbox.has_work()
    assert outbox.due(0.5).next_at <= 1.5
    work = outbox.next_work()
    assert work is not None
    assert (work.conversation_id, work.limit) == ("dm:a:c", 1)
    assert not outbox.has_work()


def test_a_forgotten_conversation_gives_its_room_back() -> None:
    outbox = Outbox(2)
    outbox.offer(C, 1, b"", 0.0)
    outbox.offer(C, 2, b"", 0.0)
    outbox.forget(C)
    assert outbox.unacknowledged == 0
    assert outbox.lost(0.0) == []


def test_what_a_lost_connection_leaves() -> None:
    outbox = Outbox(2)
    outbox.offer(C, 1, b"", 0.0)
    outbox.offer(G, 7, b"", 0.0, large=True)
    outbox.missed("group:old", 1, 9, 0.0, large=False)
    assert outbox.lost(1.0) == [Covered(C, 1), Covered(G, 7)]
    outbox.received(C, 1)
    assert outbox.lost(1.0) == [Covered(G, 7)]


def test_quiet_conversations_are_dropped_when_there_are_many() -> None:
    outbox = Outbox(10)
    for index in range(MAX_POSITIONS + 10):
        name = f"dm:a:{index}"
        outbox.offer(name, 1, b"", 0.0)
        outbox.received(name, 1)
    assert len(outbox._positions) <= MAX_POSITIONS
