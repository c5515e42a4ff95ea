"""What clients saw of a server, for `checker` to judge: every frame, what they said themselves, and what they read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass
class Look:
    """How the server described all conversations to one device at some time."""

    conversations: dict[str, Frame]
    seen: list[int]
    """How many frames of each connection had come before the device asked."""
    told: dict[str, int]
    """What the device had told by the time of the answer: see `DeviceRecord`."""


@dataclass
class DeviceRecord:
    """What one device did and saw. ``connections`` holds the frames of each connection, in order."""

    user_id: str
    device_id: str
    connections: list[list[Frame]] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)
    """Per conversation the highest number for which it ever sent ``received`` or ``read``."""
    looks: list[Look] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How a message about it calls it."""
        return f"{self.user_id}/{self.device_id}"

    @property
    def last_look(self) -> dict[str, Frame]:
        """The conversations as they were described last."""
        return self.looks[-1].conversations if self.looks else {}

    def frames(self, type_: str) -> Iterator[Frame]:
        """Yield all frames of a type."""
        for frames in self.connections:
            yield from (frame for frame in frames if frame["type"] == type_)

    def before(self, look: Look) -> Iterator[Frame]:
        """Yield the frames that came before a look."""
        for frames, count in zip(self.connections, look.seen, strict=False):
            yield from frames[:count]

    def has_sent(self, message: Frame | None) -> bool:
        """Tell whether it is the sending device of a message."""
        return message is not None and (message["senderId"], message["senderDeviceId"]) == (
            self.user_id,
            self.device_id,
        )


@dataclass
class Record:
    """What all devices saw, and each conversation from its beginning to its end as a member read it last."""

    devices: list[DeviceRecord] = field(default_factory=list)
    contents: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """What was sent, by (user, device, clientMessageId), whether or not it was acknowledged."""
    histories: dict[str, list[Frame]] = field(default_factory=dict)

    def at(self, conversation_id: str, number: int) -> Frame | None:
        """Return the message with this number."""
        messages = self.histories.get(conversation_id, [])
        if 1 <= number <= len(messages) and messages[number - 1]["sequenceNumber"] == number:
            return messages[number - 1]
        return next((one for one in messages if one["sequenceNumber"] == number), None)


def held(frames: list[Frame]) -> Iterator[tuple[str, int, int, bool]]:
    """Yield what a device holds from each frame on: conversation, first and last number, and whether it came live."""
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


def numbered(frames: list[Frame]) -> Iterator[Frame]:
    """Yield every message or ack with a number that the frames hold."""
    for frame in frames:
        match frame["type"]:
            case "message":
                yield frame
            case "ack" if "sequenceNumber" in frame:
                yield frame
            case "messages":
                yield from frame["messages"]
