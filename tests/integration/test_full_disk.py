"""A full disk: the server says ``unavailable``, keeps what it acknowledged, goes on reading, and recovers by itself."""

import asyncio
import contextlib
import resource
from collections.abc import Iterator

import pytest

from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerProcess
from tests.integration.peers import Frame, Peer, Refused
from tests.integration.scene import Person, Scene, dm, numbers

pytestmark = pytest.mark.crash
BIG = "x" * 8_000
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@contextlib.contextmanager
def full_disk(server: ServerProcess, room: int = 0) -> Iterator[None]:
    """Let no file of the running server grow by more than ``room`` bytes beyond the largest, as on a full disk."""
    largest = max(path.stat().st_size for path in server.data.iterdir())
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + room, resource.RLIM_INFINITY))
    yield
    if server.runs:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


async def readiness(scene: Scene) -> int:
    try:
        await scene.http("GET", "/readyz")
    except Refused as refused:
        assert refused.code == "unavailable"
        return refused.status
    return 200


async def fill(peer: Peer, chat: str, prefix: str) -> list[Frame]:
    """Send until the server takes nothing, and return the acks."""
    acks = []
    for number in range(10_000):
        message_id = f"{prefix}{number}"
        answer = await peer.ask(
            "send", conversationId=chat, clientMessageId=message_id, contentType="text", content=message_id + BIG
        )
        if answer["type"] == "error":
            assert answer == answer | {"code": "unavailable", "retryable": True, "clientMessageId": message_id}
            assert answer["retryAfterMs"] > 0
            return acks
        acks.append(answer)
    raise AssertionError("the disk did not become full")


