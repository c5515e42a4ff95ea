"""One HTTP request to a receiver of webhooks, and nothing that it may not reach."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Answered(msgspec.Struct, frozen=True):
    """The receiver's answer; its body is nobody's business. ``retry_after`` as it stands in the header, or empty."""

    status: int
    retry_after: str = ""


class NotSent(Exception):
    """No answer came. ``reason`` is one word of `REASONS`; the message is for the webhook's owner."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


REASONS = ("address", "connect", "tls", "timeout", "broken")
"""The host has no address that may be used; it does not answer; its certificate; too slow; no HTTP."""


class WebhookSender(Protocol):
    """Sends, once. Follows no redirect, uses no proxy, looks at every address before it connects."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send one request and return what was answered.

        Raises:
            NotSent: nothing was, within the time that is allowed.
        """
        ...
