"""Frames and entries for the client's tests, with the fields that a test does not care about filled in."""

import msgspec

from cooee.client.model import Pending
from cooee.client.state import State
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames

ME = DeviceRef("alice", "d1")
CHAT = "dm:alice:bob"
GROUP = "group:g1"


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def said(
    number: int,
    text: str = "",
    *,
    sender: str = "bob",
    device: str = "d7",
    chat: str = CHAT,
    key: str = "",
    silent: bool = False,
) -> frames.MessageFrame:
    """Return a text message."""
    return frames.MessageFrame(
        str(1000 + number),
        chat,
        number,
        sender,
        device,
        key or f"{sender}-{number}",
        number * 1000,
        "text",
        raw(text or f"text {number}"),
        silent=silent,
    )


def told(number: int, event: str, *, chat: str = GROUP, sender: str = "bob", **content: object) -> frames.MessageFrame:
    """Return a system message."""
    body = raw({"event": event, "actorId": sender, **content})
    return frames.MessageFrame(
        str(1000 + number), chat, number, sender, "", f"s{number}", number * 1000, "system", body
    )


def page(
    *messages: frames.MessageFrame,
    chat: str = CHAT,
    first: int,
    through: int,
    complete: bool = False,
    ref: str | None = None,
) -> frames.Messages:
    """Return a page of history."""
    raws = tuple(msgspec.Raw(msgspec.json.encode(message)) for message in messages)
    return frames.Messages(chat, raws, first, through, complete, ref)


def ack(key: str, number: int | None, chat: str = CHAT) -> frames.Ack:
    """Return the ack of an own message."""
    message_id = None if number is None else str(1000 + number)
    return frames.Ack("sent", None, key, message_id, chat, number, 5000)


def pending(key: str, chat: str = CHAT, text: str = "hello", device: str = "d1") -> Pending:
    """Return an entry of the outbox."""
    return Pending(key, chat, device, 4000, "text", text)


def take(state: State, *taken: frames.ServerFrame, now: int = 0) -> Turn:
    """Let one turn take in the frames, and install it."""
    turn = Turn(state, now)
    for frame in taken:
        turn.take(frame)
    turn.finish().install()
    return turn


def welcome(*, window: int = 256) -> frames.Welcome:
    """Return a welcome."""
    return frames.Welcome("alice", "d1", "c1", "gw-1", 0, frames.Heartbeat(), frames.WireLimits(window=window))
