"""Messages with media wait for a look at their object, encrypted ones for the devices that they must be for.

The same device's later ones to that conversation wait behind.

So messages of one connection to one conversation are numbered in the order sent (PROTOCOL.md §3), and nothing else
waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from cooee.domain.errors import CooeeError, ErrorCode, rate_limited
from cooee.domain.ids import DeviceRef
from cooee.domain.message import CONTENT_ENCRYPTED, MEDIA_TYPES
from cooee.protocol import frames
from cooee.protocol.media import media_content
from cooee.services.encrypted import EncryptedChecks
from cooee.services.media_checks import MediaChecks

_log = logging.getLogger(__name__)
MAX_WAITING = 256
"""Messages of one device to one conversation that wait."""

Reply = Callable[[frames.ServerFrame], None]
Forward = Callable[[DeviceRef, frames.Send, Reply, str, CooeeError | None], None]
"""Takes a message whose turn has come: sender, frame, reply, conversation, and why it is refused."""

_Line = deque[tuple[frames.Send, Reply]]


class SendLine:
    """The lines of all devices. ``waiting`` is empty as long as nobody sends media, and all devices are known."""

    def __init__(self, checks: MediaChecks, encrypted: EncryptedChecks, content_bytes: int) -> None:
        self._checks = checks
        self._encrypted = encrypted
        self._content_bytes = content_bytes
        self.noticed: Callable[[], None] = _nobody
        """Is called when a message with media has become durable."""
        self.waiting: dict[tuple[DeviceRef, str], _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, sender: DeviceRef, frame: frames.Send, reply: Reply, conversation_id: str, forward: Forward) -> bool:
        """Take a message that must be looked at, or stands behind one; False: it need not wait."""
        place = (sender, conversation_id)
        line = self.waiting.get(place)
        if line is None:
            if frame.content_type not in MEDIA_TYPES and (
                frame.content_type != CONTENT_ENCRYPTED or self._encrypted.passes(sender, frame, conversation_id)
            ):
                return False
            line = self.waiting[place] = deque()
            task = asyncio.get_running_loop().create_task(self._run(place, line, forward))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(line) >= MAX_WAITING:
            raise rate_limited(1000, "too many messages wait for a look at them; wait and send it again")
        line.append((frame, reply))
        return True

    async def _run(self, place: tuple[DeviceRef, str], line: _Line, forward: Forward) -> None:
        """Let the line go, one after the other; forwarding the last and closing the line is one step of the loop."""
        sender, conversation_id = place
        try:
            while line:
                frame, reply = line[0]
                refusal = None
                if frame.content_type in MEDIA_TYPES:
                    refusal = await self._refusal(sender, frame, conversation_id)
                    reply = partial(self._tell, reply)
                elif frame.content_type == CONTENT_ENCRYPTED:
                    refusal = await self._refusal(sender, frame, conversation_id)
                line.popleft()
                forward(sender, frame, reply, conversation_id, refusal)
        finally:
            del self.waiting[place]

    async def _refusal(self, sender: DeviceRef, frame: frames.Send, conversation_id: str) -> CooeeError | None:
        try:
            if frame.content_type == CONTENT_ENCRYPTED:
                await self._encrypted.check(sender, frame, conversation_id)
            else:
                content = media_content(frame.content_type, bytes(frame.content), self._content_bytes)
                await self._checks.check(sender.user_id, content)
        except CooeeError as refusal:
            return refusal
        except Exception:  # noqa: BLE001  # one message's trouble is not that of those behind it
            _log.exception("a message could not be looked at")
            return CooeeError(ErrorCode.INTERNAL, "the server failed on this message; try again", retry_after_ms=1000)
        return None

    def _tell(self, reply: Reply, answer: frames.ServerFrame) -> None:
        reply(answer)
        if isinstance(answer, frames.Ack):
            self.noticed()


def _nobody() -> None:
    """Nobody looks at files."""
