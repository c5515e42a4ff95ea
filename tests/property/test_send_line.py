"""Whatever the store of files answers, and when: each device's messages to each conversation keep their order."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.domain.errors import CooeeError, not_found
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from cooee.protocol.media import MediaContent
from cooee.services.send_line import SendLine

KEY = "k" * 22
PHOTO = msgspec.Raw(msgspec.json.encode({"mediaKey": KEY, "mimeType": "image/png", "size": 1}))
SEND = st.tuples(st.sampled_from(["a1", "a2"]), st.sampled_from(["c1", "c2"]), st.booleans())
"""Device, conversation, and whether there is a file."""


class Checks:
    """Answers each check when and how a test says."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[bool]] = []

    async def check(self, _user_id: str, _content: MediaContent) -> None:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        if not await answer:
            raise not_found("the file")


def send(line: SendLine, place: tuple[str, str], name: str, forward: Callable[..., None], *, photo: bool) -> None:
    """Send as the messages service does: through the line, or at once."""
    kind, content = ("image", PHOTO) if photo else ("text", msgspec.Raw(b'"hi"'))
    frame = frames.Send(name, kind, content, place[1])
    sender = DeviceRef("alice", place[0])

    def reply(_answer: frames.ServerFrame) -> None:
        """Take the answer."""

    if (line.waiting or photo) and line.take(sender, frame, reply, place[1], forward):
        return
    forward(sender, frame, reply, place[1], None)


@settings(deadline=None)
@given(
    st.lists(st.one_of(SEND, st.tuples(st.integers(0, 9), st.booleans())), max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_order_is_kept_and_nothing_waits_for_ever(steps: list[tuple[Any, ...]], rest: list[bool]) -> None:
    asyncio.run(_walk(steps, rest))


async def _walk(steps: list[tuple[Any, ...]], rest: list[bool]) -> None:
    checks: Any = Checks()
    line = SendLine(checks, checks, 49_152)
    sent: dict[tuple[str, str], list[str]] = {}
    came: dict[tuple[str, str], list[str]] = {}
    refused: set[str] = set()

    def forward(
        sender: DeviceRef, frame: frames.Send, _reply: object, conversation_id: str, refusal: CooeeError | None
    ) -> None:
        came.setdefault((sender.device_id, conversation_id), []).append(frame.client_message_id)
        if refusal is not None:
            refused.add(frame.client_message_id)

    async def answer(at: int, *, good: bool) -> None:
        if checks.waiting:
            checks.waiting.pop(at % len(checks.waiting)).set_result(good)
            for _ in range(3):
                await asyncio.sleep(0)

    for number, step in enumerate(steps):
        if len(step) == 2:
            await answer(step[0], good=step[1])
            continue
        device, conversation_id, photo = step
        place, name = (device, conversation_id), f"m{number}"
        sent.setdefault(place, []).append(name)
        is_free = not any(key[0].device_id == device and key[1] == conversation_id for key in line.waiting)
        send(line, place, name, forward, photo=photo)
        if is_free and not photo:
            assert came[place][-1] == name, "nothing but the own line is waited for"
        await asyncio.sleep(0)
    for good in rest:
        await asyncio.sleep(0)
        await answer(0, good=good)
    assert came == sent
    assert line.waiting == {}
    assert all(steps[int(name[1:])][2] for name in refused)
