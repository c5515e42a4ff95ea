"""The checker judges a small record that is as it should be, and then the same record with one thing wrong in it."""

import copy
from collections.abc import Callable

import pytest

from tests.integration import checker
from tests.integration.checker import Violation, check_all
from tests.integration.seen import DeviceRecord, Frame, Look, Record

CHAT = "dm:ann:bob"


def message(number: int, sender: str, **changes: object) -> Frame:
    return {
        "type": "message",
        "messageId": str(1000 + number),
        "conversationId": CHAT,
        "sequenceNumber": number,
        "senderId": sender,
        "senderDeviceId": "d",
        "clientMessageId": f"m{number}",
        "timestamp": number,
        "contentType": "text",
        "content": f"text {number}",
    } | changes


def ack(number: int, sender: str) -> Frame:
    wanted = ("messageId", "conversationId", "sequenceNumber", "clientMessageId", "timestamp")
    return {"type": "ack", "status": "sent"} | {name: message(number, sender)[name] for name in wanted}


def receipt(user: str, number: int, status: str = "delivered") -> Frame:
    return {"type": "receipt", "conversationId": CHAT, "userId": user, "status": status, "sequenceNumber": number}


def described(received: int, read: int, head: int, ann: tuple[int, int], bob: tuple[int, int]) -> dict[str, Frame]:
    marks = [{"userId": user, "delivered": at[0], "read": at[1]} for user, at in (("ann", ann), ("bob", bob))]
    return {
        CHAT: {
            "receivedSequenceNumber": received,
            "readSequenceNumber": read,
            "lastSequenceNumber": head,
            "deliveredByAll": None,
            "readByAll": None,
            "members": marks,
        }
    }


def healthy() -> Record:
    """Ann sends 1 and 3. Bob connects twice, and sends 2 the second time. Both have everything in the end."""
    ann = DeviceRecord("ann", "d", [[ack(1, "ann"), message(2, "bob"), receipt("bob", 1), ack(3, "ann")]])
    bob = DeviceRecord("bob", "d", [[message(1, "ann")], [ack(2, "bob"), message(3, "ann"), receipt("bob", 3)]])
    ann.told[CHAT] = bob.told[CHAT] = 3
    ann.looks = [
        Look(described(2, 0, 2, (2, 0), (1, 0)), [3], {CHAT: 2}),
        Look(described(3, 0, 3, (3, 0), (3, 3)), [4], {CHAT: 3}),
    ]
    bob.looks = [Look(described(3, 3, 3, (3, 0), (3, 3)), [1, 3], {CHAT: 3})]
    history = [message(1, "ann"), message(2, "bob"), message(3, "ann")]
    contents = {(one["senderId"], "d", one["clientMessageId"]): one["content"] for one in history}
    return Record([ann, bob], contents, {CHAT: history})


def lose_the_last(record: Record) -> None:
    record.histories[CHAT].pop()


def leave_a_hole(record: Record) -> None:
    record.histories[CHAT][2] |= {"sequenceNumber": 4}


def go_back_in_ids(record: Record) -> None:
    record.histories[CHAT][2] |= {"messageId": "7"}


def store_twice(record: Record) -> None:
    record.histories[CHAT].append(message(1, "ann") | {"sequenceNumber": 4, "messageId": "1004"})


def store_what_nobody_sent(record: Record) -> None:
    record.histories[CHAT].append(message(4, "bob"))


def store_other_words(record: Record) -> None:
    record.histories[CHAT][1] |= {"content": "other words"}


def ack_another_number(record: Record) -> None:
    record.devices[0].connections[0][3] |= {"sequenceNumber": 2}


def refuse_a_good_frame(record: Record) -> None:
    record.devices[0].connections[0].append({"type": "error", "code": "bad_frame", "retryable": False})


def show_out_of_order(record: Record) -> None:
    record.devices[1].connections[0] = [message(3, "ann"), message(1, "ann")]


def show_nothing(record: Record) -> None:
    record.devices[1].connections = [[], []]


def miss_one(record: Record) -> None:
    record.devices[1].connections[1].remove(message(3, "ann"))


def show_other_words(record: Record) -> None:
    record.devices[1].connections[0][0] |= {"content": "other words"}


def show_two_at_one_number(record: Record) -> None:
    record.devices[1].connections[1].append(message(1, "ann", messageId="1009"))


def forget_what_was_confirmed(record: Record) -> None:
    record.devices[1].looks[0].conversations[CHAT] |= {"receivedSequenceNumber": 2}


def forget_what_was_told_of_others(record: Record) -> None:
    record.devices[0].looks[0].conversations[CHAT]["members"][1]["delivered"] = 0


def forget_a_message_for_a_while(record: Record) -> None:
    record.devices[0].looks[0].conversations[CHAT] |= {"lastSequenceNumber": 1}


def go_back_in_reading(record: Record) -> None:
    record.devices[0].looks[0].conversations[CHAT]["members"][0]["read"] = 1


def receive_unasked(record: Record) -> None:
    record.devices[0].looks[0].told[CHAT] = 1


def deliver_without_a_device(record: Record) -> None:
    record.devices[0].looks[1].conversations[CHAT]["members"][1]["delivered"] = 4


DAMAGES: dict[Callable[[Record], None], Callable[[Record], None]] = {
    lose_the_last: checker.check_acks,
    leave_a_hole: checker.check_numbers,
    go_back_in_ids: checker.check_numbers,
    store_twice: checker.check_copies,
    store_what_nobody_sent: checker.check_copies,
    store_other_words: checker.check_copies,
    ack_another_number: checker.check_acks,
    refuse_a_good_frame: checker.check_answers,
    show_out_of_order: checker.check_order,
    show_nothing: checker.check_convergence,
    miss_one: checker.check_convergence,
    show_other_words: checker.check_convergence,
    show_two_at_one_number: checker.check_convergence,
    forget_what_was_confirmed: checker.check_watermarks,
    forget_what_was_told_of_others: checker.check_watermarks,
    forget_a_message_for_a_while: checker.check_watermarks,
    go_back_in_reading: checker.check_watermarks,
    receive_unasked: checker.check_watermarks,
    deliver_without_a_device: checker.check_watermarks,
}


def test_a_healthy_record_passes() -> None:
    check_all(healthy())


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: str(damage.__name__))
def test_one_thing_that_is_wrong_is_found(damage: Callable[[Record], None]) -> None:
    record = copy.deepcopy(healthy())
    damage(record)
    with pytest.raises(Violation):
        DAMAGES[damage](record)
