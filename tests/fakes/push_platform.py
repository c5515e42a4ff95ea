"""What the three push platforms of the tests have in common: what they saw, and what is to go wrong next."""

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from cooee.ports.push_sender import PushSender


class Trouble(Enum):
    """What happens to a request instead of an answer."""

    RESET = "reset"
    """The connection breaks off."""
    SILENCE = "silence"
    """No answer ever comes."""
    GOAWAY = "goaway"
    """The platform closes the connection in good order and has not looked at the request (RFC 9113 §6.8)."""


class Request(NamedTuple):
    """One request that came whole; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Response(NamedTuple):
    """What is answered."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class Seen(NamedTuple):
    """What an app is given, in the words of the port."""

    title: str
    body: str
    badge: int | None
    silent: bool
    data: dict[str, Any]
    collapse_key: str
    ttl_s: int
    urgent: bool


class Script:
    """What the next notifications meet, in order; then all is well again. A string is what the platform says."""

    def __init__(self) -> None:
        self.next: deque[Trouble | Response | str] = deque()
        self.taken = asyncio.Event()
        """Something of it has happened."""

    def then(self, *happens: Trouble | Response | str) -> None:
        """Let these happen to the next requests."""
        self.next.extend(happens)

    def take(self) -> Trouble | Response | str | None:
        """Return what happens to this request."""
        if not self.next:
            return None
        self.taken.set()
        return self.next.popleft()


class Platform(Protocol):
    """A platform as the contract of `PushSender` sees it. ``says``: refusals by the outcome they stand for."""

    @property
    def name(self) -> str:
        """The platform's name in a target."""
        ...

    script: Script
    seen: list[Seen]
    problems: list[str]
    """What was wrong with requests, as far as the platform would refuse them."""

    @property
    def connections(self) -> int:
        """Connections so far."""
        ...

    def target(self) -> dict[str, str]:
        """Register another device."""
        ...

    def forget(self, target: dict[str, str]) -> None:
        """Let a device be there no more."""
        ...

    def sender(self, timeout_s: float = 5.0) -> PushSender:
        """Return a sender to this platform; it is closed with the platform."""
        ...

    async def start(self) -> None:
        """Listen."""
        ...

    async def aclose(self) -> None:
        """Stop, and close the senders."""
        ...

    async def stop(self) -> None:
        """Listen no more, and end every connection."""
        ...
