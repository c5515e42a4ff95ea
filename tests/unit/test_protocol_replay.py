"""The session that PROTOCOL.md §14 prints is replayed against a real gateway, frame for frame."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.fakes.gateway_scene import Client, GatewayScene

DOCUMENT = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")
_LINE = re.compile(r"([a-z]+)\.d([1-9]) (→|←) (\{.*\})")
ANY_TEXT = "…"


class Line(NamedTuple):
    """One frame of the transcript; ``sends``: the client sends it."""

    user_id: str
    device: int
    sends: bool
    frame: Any


def transcript() -> list[Line]:
    """Return the frames of the transcript, in order."""
    text = DOCUMENT.partition("```transcript\n")[2].partition("```")[0]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    matches = [_LINE.fullmatch(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if match is None]
    return [Line(match[1], int(match[2]), match[3] == "→", json.loads(match[4])) for match in matches if match]


def fits(told: Any, came: Any) -> bool:
    """Tell whether ``came`` is what was told, with ``…`` standing for any text."""
    if told == ANY_TEXT:
        return isinstance(came, str) and bool(came)
    if isinstance(told, dict) and isinstance(came, dict):
        return told.keys() == came.keys() and all(fits(told[key], came[key]) for key in told)
    if isinstance(told, list) and isinstance(came, list):
        return len(told) == len(came) and all(map(fits, told, came))
    return bool(told == came)


async def test_the_printed_session_is_what_happens() -> None:
    lines = transcript()
    assert len(lines) > 40
    devices = {user_id: max(line.device for line in lines if line.user_id == user_id) for user_id, *_ in lines}
    clients: dict[tuple[str, int], Client] = {}
    async with GatewayScene() as scene:
        for user_id, count in devices.items():
            await scene.person(user_id, count)
        for line in lines:
            key = (line.user_id, line.device)
            if line.sends:
                frame = dict(line.frame)
                if frame["type"] == "hello":
                    clients[key] = scene.connect()
                    frame["token"] = f"{line.user_id}-{line.device}"
                clients[key].say_raw(json.dumps(frame).encode())
                await scene.settle()
                continue
            connection = clients[key].connection
            came = json.loads(connection.sent[connection.read]) if connection.read < len(connection.sent) else None
            assert fits(line.frame, came), (line.frame, came)
            connection.read += 1
        unexpected = {key: client.connection.sent[client.connection.read :] for key, client in clients.items()}
        assert not any(unexpected.values()), unexpected
        assert all(client.connection.closed is None for client in clients.values())


def test_a_wrong_word_in_it_would_be_found() -> None:
    told = {"type": "ack", "messageId": ANY_TEXT, "sequenceNumber": 1}
    assert fits(told, {"type": "ack", "messageId": "7", "sequenceNumber": 1})
    assert not fits(told, {"type": "ack", "messageId": "7", "sequenceNumber": 2})
    assert not fits(told, {"type": "ack", "messageId": "7", "sequenceNumber": 1, "status": "sent"})
    assert not fits(told, {"type": "ack", "messageId": "", "sequenceNumber": 1})
