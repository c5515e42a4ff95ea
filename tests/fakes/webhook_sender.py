"""A sender of webhooks that reaches nobody: it keeps what was sent, and answers as a test decides."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cooee.ports.webhook_sender import Answered, NotSent


class Sent(NamedTuple):
    """One request."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        """Which delivery this is an attempt at."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def texts(self) -> list[Any]:
        """The contents of the events."""
        return [event.get("content") for event in self.json["events"]]


Answer = Callable[[Sent], Answered | NotSent]


class RecordingSender:
    """`WebhookSender`. ``open``: while it is cleared, requests wait."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answers: Answer = lambda _sent: Answered(200)
        self.open = asyncio.Event()
        self.open.set()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Keep the request and answer it."""
        sent = Sent(url, dict(headers), body)
        self.sent.append(sent)
        await self.open.wait()
        answer = self.answers(sent)
        if isinstance(answer, NotSent):
            raise answer
        return answer

    def take(self) -> list[Sent]:
        """Return what was sent so far, and forget it."""
        sent, self.sent = self.sent, []
        return sent
