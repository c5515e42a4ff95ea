"""Judges what clients saw of a server, by the promises of PROTOCOL.md §3–§5 and by nothing else.

It reads a `Record`: every frame each device got, in order and by connection, what it told the server, and how the
conversations stood in the end. It shares no code with the server. Each check raises `Violation`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Frame = dict[str, Any]


class Violation(AssertionError):
    """A promise was broken; the message says which, and where."""


@dataclass
class DeviceRecord:
    """What one device did and saw. ``connections`` holds the frames of each connection, in order."""

    user_id: str
    device_id: str
    connections: list[list[Frame]] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)
    """Per conversation the highest number for which it ever sent ``received``."""
    confirmed: dict[str, int] = field(default_factory=dict)
    """Per conversation the highest number that the server confirmed as received."""
    snapshots: list[dict[str, Frame]] = field(default_factory=list)
    """The conversations as the server described them to this device, again and again."""


@dataclass
class Record:
    """What all devices saw, and each conversation from its beginning to its end as a member read it last."""

    devices: list[DeviceRecord] = field(default_factory=list)
    contents: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """What was sent, by (user, device, clientMessageId)."""
    histories: dict[str, list[Frame]] = field(default_factory=dict)


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
        for ack in _of(device, "ack"):
            if ack.get("status") != "sent":
                continue
            where = f"{ack['conversationId']} {ack['sequenceNumber']} of {device.user_id}"
            message = _at(record, ack["conversationId"], ack["sequenceNumber"])
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
    """A message that was sent again is stored once (§3)."""
    seen: set[tuple[str, str, str, str]] = set()
    for conversation_id, messages in record.histories.items():
        for one in messages:
            key = (conversation_id, one["senderId"], one["senderDeviceId"], one["clientMessageId"])
            if key in seen:
                raise Violation(f"{key} is stored twice")
            seen.add(key)


def check_order(record: Record) -> None:
    """A connection gets n only after n−1; what it lacks below its first number it has, or has sent itself (§4)."""
    for device in record.devices:
        have: dict[str, set[int]] = {}
        for frames in device.connections:
            reached: dict[str, int] = {}
            for conversation_id, first, last, live in _held(frames):
                own = have.setdefault(conversation_id, set())
                if live and first > reached.get(conversation_id, 0) + 1:
                    lacking = set(range(reached.get(conversation_id, 0) + 1, first)) - own
                    _check_own(record, device, conversation_id, lacking, first)
                own.update(range(first, last + 1))
                while live and reached.get(conversation_id, 0) + 1 in own:
                    reached[conversation_id] = reached.get(conversation_id, 0) + 1


def _check_own(record: Record, device: DeviceRecord, conversation_id: str, lacking: set[int], first: int) -> None:
    for number in sorted(lacking):
        message = _at(record, conversation_id, number)
        if message is None or (message["senderId"], message["senderDeviceId"]) != (device.user_id, device.device_id):
            raise Violation(
                f"{device.user_id}/{device.device_id} got {conversation_id} {first} without {number} before it"
            )


def check_convergence(record: Record) -> None:
    """In the end every device has seen the same messages at the same numbers, and all of them (§4, §5)."""
    for device in record.devices:
        seen: dict[str, dict[int, str]] = {}
        for frames in device.connections:
            for conversation_id, number, message_id in _shown(frames):
                kept = seen.setdefault(conversation_id, {}).setdefault(number, message_id)
                if kept != message_id:
                    raise Violation(f"{device.user_id} saw two messages at {conversation_id} {number}")
        for conversation_id, numbers in seen.items():
            final = {one["sequenceNumber"]: one["messageId"] for one in record.histories[conversation_id]}
            if numbers != final:
                wrong = sorted(set(numbers.items()) ^ set(final.items()))[:3]
                raise Violation(f"{device.user_id}/{device.device_id} and {conversation_id} differ: {wrong}")


def check_watermarks(record: Record) -> None:
    """Watermarks never go back, lose nothing that was confirmed, and hold nothing that was not received (§4)."""
    received: dict[tuple[str, str], int] = {}
    for device in record.devices:
        _check_snapshots(record, device)
        for conversation_id, one in _final(device).items():
            key = (conversation_id, device.user_id)
            received[key] = max(received.get(key, 0), one["receivedSequenceNumber"])
    for device in record.devices:
        for conversation_id, one in _final(device).items():
            for mark in one["members"]:
                expected = received.get((conversation_id, mark["userId"]), 0)
                if mark["delivered"] != expected:
                    raise Violation(f"{conversation_id}: {mark} has {expected} on his foremost device")
        _check_receipts(device)


_OWN = {"delivered": "receivedSequenceNumber", "read": "readSequenceNumber"}


def _check_receipts(device: DeviceRecord) -> None:
    """Receipts come in any order and merge by max; what they told once stands."""
    final = _final(device)
    for frame in _of(device, "receipt"):
        if "ref" in frame:
            continue
        snapshot = final[frame["conversationId"]]
        if frame.get("scope") == "all":
            stands = snapshot[f"{frame['status']}ByAll"]
        elif frame["userId"] == device.user_id:
            stands = snapshot[_OWN[frame["status"]]]
        else:
            stands = max(mark[frame["status"]] for mark in snapshot["members"] if mark["userId"] == frame["userId"])
        if stands < frame["sequenceNumber"]:
            raise Violation(f"{device.user_id} was told {frame}, and in the end it is {stands}")


def _final(device: DeviceRecord) -> dict[str, Frame]:
    return device.snapshots[-1] if device.snapshots else {}


def _check_snapshots(record: Record, device: DeviceRecord) -> None:
    lowest: dict[tuple[str, str], int] = {}
    for snapshot in device.snapshots:
        for conversation_id, one in snapshot.items():
            for name in ("receivedSequenceNumber", "readSequenceNumber", "lastSequenceNumber"):
                key = (conversation_id, name)
                if one[name] < lowest.get(key, 0):
                    raise Violation(f"{device.user_id}: {key} went back from {lowest[key]} to {one[name]}")
                lowest[key] = one[name]
    for conversation_id, one in _final(device).items():
        received = one["receivedSequenceNumber"]
        if received < device.confirmed.get(conversation_id, 0):
            raise Violation(f"{device.user_id}: {conversation_id} lost a confirmed watermark")
        for number in range(device.told.get(conversation_id, 0) + 1, received + 1):
            message = _at(record, conversation_id, number)
            if message is None or message["senderDeviceId"] != device.device_id:
                raise Violation(f"{device.user_id} never said that it received {conversation_id} {number}")


CHECKS: tuple[Callable[[Record], None], ...] = (
    check_numbers,
    check_copies,
    check_acks,
    check_order,
    check_convergence,
    check_watermarks,
)


def _of(device: DeviceRecord, type_: str) -> Iterator[Frame]:
    for frames in device.connections:
        yield from (frame for frame in frames if frame["type"] == type_)


def _held(frames: list[Frame]) -> Iterator[tuple[str, int, int, bool]]:
    """Yield what the device holds from each frame on: conversation, first and last number, and whether it came live."""
    for frame in frames:
        match frame["type"]:
            case "message":
                yield frame["conversationId"], frame["sequenceNumber"], frame["sequenceNumber"], True
            case "ack" if "sequenceNumber" in frame:
                yield frame["conversationId"], frame["sequenceNumber"], frame["sequenceNumber"], False
            case "skipped":
                yield frame["conversationId"], frame["from"], frame["through"], True
            case "messages":
                yield frame["conversationId"], frame["coveredFrom"], frame["coveredThrough"], False


def _shown(frames: list[Frame]) -> Iterator[tuple[str, int, str]]:
    """Yield every numbered message that the frames hold, with its id."""
    for frame in frames:
        match frame["type"]:
            case "message":
                yield frame["conversationId"], frame["sequenceNumber"], frame["messageId"]
            case "ack" if "sequenceNumber" in frame:
                yield frame["conversationId"], frame["sequenceNumber"], frame["messageId"]
            case "messages":
                for one in frame["messages"]:
                    yield one["conversationId"], one["sequenceNumber"], one["messageId"]


def _at(record: Record, conversation_id: str, number: int) -> Frame | None:
    messages = record.histories.get(conversation_id, [])
    if 1 <= number <= len(messages) and messages[number - 1]["sequenceNumber"] == number:
        return messages[number - 1]
    return next((one for one in messages if one["sequenceNumber"] == number), None)


def _first_gap(numbers: list[int]) -> str:
    for expected, number in enumerate(numbers, 1):
        if number != expected:
            return f"{number} stands where {expected} should"
    return ""
