"""Judges what clients saw of a server, by the promises of PROTOCOL.md §3–§5 and by nothing else.

It reads a `Record` and shares no code with the server. Each check raises `Violation`.
"""

from collections.abc import Callable
from itertools import pairwise

from tests.integration.seen import DeviceRecord, Frame, Look, Record, held, numbered


class Violation(AssertionError):
    """A promise was broken; the message says which, and where."""


def check_all(record: Record) -> None:
    """Make every check.

    Raises:
        Violation: the first promise that was broken.
    """
    for check in CHECKS:
        check(record)


def check_numbers(record: Record) -> None:
    """Numbers are 1 … n without holes, messageIds grow with them (§1)."""
    for conversation_id, messages in record.histories.items():
        numbers = [one["sequenceNumber"] for one in messages]
        if numbers != list(range(1, len(numbers) + 1)):
            raise Violation(f"{conversation_id}: the numbers are not dense: {_first_gap(numbers)}")
        ids = [int(one["messageId"]) for one in messages]
        if any(later <= earlier for earlier, later in pairwise(ids)):
            raise Violation(f"{conversation_id}: the messageIds do not grow with the numbers")


def check_acks(record: Record) -> None:
    """What was acknowledged is there, at its number, with its id and content (§3)."""
    for device in record.devices:
        for ack in device.frames("ack"):
            if ack.get("status") != "sent":
                continue
            where = f"{ack['conversationId']} {ack['sequenceNumber']} of {device.user_id}"
            message = record.at(ack["conversationId"], ack["sequenceNumber"])
            if message is None:
                raise Violation(f"{where} was acknowledged and is not there")
            expected = {name: ack[name] for name in ("messageId", "clientMessageId", "timestamp")} | {
                "senderId": device.user_id,
                "senderDeviceId": device.device_id,
                "content": record.contents[device.user_id, device.device_id, ack["clientMessageId"]],
            }
            if message != message | expected:
                raise Violation(f"{where} was acknowledged as {expected} and is {message}")


def check_copies(record: Record) -> None:
    """A message that was sent again is stored once, and nothing is stored that nobody sent (§3)."""
    seen: set[tuple[str, str, str, str]] = set()
    for conversation_id, messages in record.histories.items():
        for one in messages:
            if one["contentType"] == "system":
                continue
            key = (one["senderId"], one["senderDeviceId"], one["clientMessageId"])
            if (conversation_id, *key) in seen:
                raise Violation(f"{conversation_id}: {key} is stored twice")
            seen.add((conversation_id, *key))
            if record.contents.get(key) != one["content"]:
                raise Violation(f"{conversation_id}: nobody sent {one}")


def check_answers(record: Record) -> None:
    """A client that keeps the rules is never told that it broke one (§10)."""
    for device in record.devices:
        for error in device.frames("error"):
            if not error["retryable"]:
                raise Violation(f"{device.name} was told {error}")


def check_order(record: Record) -> None:
    """A connection gets n only after n−1; what it lacks below its first number it has, or has sent itself (§4)."""
    for device in record.devices:
        have: dict[str, set[int]] = {}
        for frames in device.connections:
            reached: dict[str, int] = {}
            for conversation_id, first, last, live in held(frames):
                own = have.setdefault(conversation_id, set())
                if live and first > reached.get(conversation_id, 0) + 1:
                    lacking = set(range(reached.get(conversation_id, 0) + 1, first)) - own
                    _check_own(record, device, conversation_id, lacking, first)
                own.update(range(first, last + 1))
                while live and reached.get(conversation_id, 0) + 1 in own:
                    reached[conversation_id] = reached.get(conversation_id, 0) + 1


def _check_own(record: Record, device: DeviceRecord, conversation_id: str, lacking: set[int], first: int) -> None:
    for number in sorted(lacking):
        if not device.has_sent(record.at(conversation_id, number)):
            raise Violation(f"{device.name} got {conversation_id} {first} without {number} before it")


def check_convergence(record: Record) -> None:
    """In the end every device has seen the same messages at the same numbers, and all of them (§4, §5)."""
    for device in record.devices:
        seen: dict[str, dict[int, str]] = {place: {} for place in device.last_look if place in record.histories}
        for frames in device.connections:
            for one in numbered(frames):
                place, number = one["conversationId"], one["sequenceNumber"]
                kept = seen.setdefault(place, {}).setdefault(number, one["messageId"])
                if kept != one["messageId"]:
                    raise Violation(f"{device.name} saw two messages at {place} {number}")
                if one["type"] == "message":
                    _check_same(record.at(place, number), one, device)
        for place, numbers in seen.items():
            final = {one["sequenceNumber"]: one["messageId"] for one in record.histories[place]}
            if numbers != final:
                wrong = sorted(set(numbers.items()) ^ set(final.items()))[:3]
                raise Violation(f"{device.name} and {place} differ: {wrong}")


def _check_same(stored: Frame | None, shown: Frame, device: DeviceRecord) -> None:
    if stored is not None and stored != shown:
        raise Violation(f"{device.name} was shown {shown}, and it is {stored}")


def check_watermarks(record: Record) -> None:
    """Watermarks never go back, lose nothing that was told, and hold nothing that was not received (§4)."""
    for device in record.devices:
        lowest: dict[tuple[str, ...], int] = {}
        for look in device.looks:
            _check_growth(device, look, lowest)
            _check_told(device, look)
            _check_grounds(record, device, look)
    _check_delivered(record)


def _check_growth(device: DeviceRecord, look: Look, lowest: dict[tuple[str, ...], int]) -> None:
    """Nothing is lower than it was once."""
    for place, one in look.conversations.items():
        marks: dict[tuple[str, ...], int] = {(place, "head"): one["lastSequenceNumber"]}
        for name in (*_OWN.values(), *_OF_ALL.values()):
            if one[name] is not None:
                marks[place, name] = one[name]
        for member in one["members"]:
            marks |= {(place, member["userId"], status): member[status] for status in _OWN}
        for key, number in marks.items():
            if number < lowest.get(key, 0):
                raise Violation(f"{device.name}: {key} went back from {lowest[key]} to {number}")
            lowest[key] = number


_OWN = {"delivered": "receivedSequenceNumber", "read": "readSequenceNumber"}
_OF_ALL = {status: f"{status}ByAll" for status in _OWN}


def _check_told(device: DeviceRecord, look: Look) -> None:
    """What a device was told once stands: messages, acks, receipts of others, and the answers to its own."""
    for frame in device.before(look):
        one = look.conversations.get(frame.get("conversationId", ""))
        match frame["type"]:
            case "message" | "ack":
                stands = one["lastSequenceNumber"] if one else 0
            case "receipt":
                stands = _stands(device, one, frame) if one else 0
            case _:
                continue
        if stands < frame["sequenceNumber"]:
            raise Violation(f"{device.name} was told {frame}, and later it is {stands}")


def _stands(device: DeviceRecord, one: Frame, receipt: Frame) -> int:
    status = receipt["status"]
    if receipt.get("scope") == "all":
        return int(one[_OF_ALL[status]])
    if receipt["userId"] == device.user_id:
        return int(one[_OWN[status]])
    return max(int(mark[status]) for mark in one["members"] if mark["userId"] == receipt["userId"])


def _check_grounds(record: Record, device: DeviceRecord, look: Look) -> None:
    """A device has received what it said, and then only own messages."""
    for place, one in look.conversations.items():
        for number in range(look.told.get(place, 0) + 1, one["receivedSequenceNumber"] + 1):
            if not device.has_sent(record.at(place, number)):
                raise Violation(f"{device.name} never said that it received {place} {number}")


def _check_delivered(record: Record) -> None:
    """In the end a user has been delivered what the foremost of his devices has."""
    received: dict[tuple[str, str], int] = {}
    for device in record.devices:
        for place, one in device.last_look.items():
            key = (place, device.user_id)
            received[key] = max(received.get(key, 0), one["receivedSequenceNumber"])
    for device in record.devices:
        for place, one in device.last_look.items():
            for mark in one["members"]:
                expected = received.get((place, mark["userId"]), 0)
                if mark["delivered"] != expected:
                    raise Violation(f"{place}: {mark} has {expected} on his foremost device")


CHECKS: tuple[Callable[[Record], None], ...] = (
    check_numbers,
    check_copies,
    check_acks,
    check_answers,
    check_order,
    check_convergence,
    check_watermarks,
)


def _first_gap(numbers: list[int]) -> str:
    for expected, number in enumerate(numbers, 1):
        if number != expected:
            return f"{number} stands where {expected} should"
    return ""
