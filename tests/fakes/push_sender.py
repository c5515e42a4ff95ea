"""A platform that reaches nobody: it keeps what it was given, and answers as a test decides."""

import asyncio
from collections.abc import Callable

from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict

Answer = Callable[[PushNotification], PushOutcome]

TAKEN = PushOutcome(PushVerdict.DELIVERED)
GONE = PushOutcome(PushVerdict.GONE, "unregistered")
REFUSED = PushOutcome(PushVerdict.FAILED, "refused")


def later(after_s: float = 0.0) -> PushOutcome:
    """Return the answer of a platform that is busy."""
    return PushOutcome(PushVerdict.RETRY, "busy", after_s)


class RecordingPush:
    """`PushSender`. ``open``: while it is cleared, notifications wait."""

    def __init__(self) -> None:
        self.sent: list[PushNotification] = []
        self.answers: Answer = lambda _notification: TAKEN
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Keep the notification and answer it."""
        self.sent.append(notification)
        await self.open.wait()
        return self.answers(notification)

    def take(self) -> list[PushNotification]:
        """Return what was sent so far, and forget it."""
        sent, self.sent = self.sent, []
        return sent

    def texts(self) -> list[str]:
        """Return what was sent so far as ``title: body``, silent ones as ``-``, and forget it."""
        return ["-" if one.silent else f"{one.title}: {one.body}" for one in self.take()]
