"""`catchup`: somebody with many conversations comes back and has missed something in a few of them."""

import asyncio
import itertools
import time
from collections.abc import Sequence

import aiohttp

from cooee.bench import traffic
from cooee.bench.connection import LoadConnection, connect
from cooee.bench.figures import Figures, Progress, no_progress, percentiles
from cooee.bench.target import Target
from cooee.domain.ids import direct_conversation_id

_POST_AT_ONCE = 32
_TELL_EVERY = 100
_PATIENCE_S = 60.0


class Returning:
    """The client that comes back. It tells what it received once in a while, as real ones do, and at the end."""

    def __init__(self) -> None:
        self.messages = 0
        self._held: dict[str, int] = {}
        self._untold = 0

    def on_frame(self, connection: LoadConnection, payload: bytes) -> None:
        """Count a message."""
        frame = traffic.read(payload)
        if frame.type != "message":
            return
        self.messages += 1
        self._held[frame.conversation_id] = frame.sequence_number
        self._untold += 1
        if self._untold >= _TELL_EVERY:
            self.tell(connection)

    def tell(self, connection: LoadConnection) -> None:
        """Say what was received and not yet said."""
        for conversation_id, number in self._held.items():
            connection.send(traffic.received(conversation_id, number))
        self._held.clear()
        self._untold = 0


async def run(
    server: Target,
    *,
    conversations: int,
    missed_in: int,
    messages: int,
    rounds: int,
    progress: Progress = no_progress,
) -> Figures:
    """Miss ``messages`` in ``missed_in`` of ``conversations`` and come back, ``rounds`` times."""
    (owner_id, owner_token), *peers = await server.enrol(1 + conversations, progress)
    missed_in = min(missed_in, conversations)
    await _post(server, owner_id, peers, progress)
    await _come_back(server, owner_token, conversations)
    took, used = [], 0.0
    for _ in range(rounds):
        await _post(server, owner_id, [peers[n % missed_in] for n in range(messages)], progress)
        cpu = server.cpu_s()
        took.append(await _come_back(server, owner_token, messages))
        used += server.cpu_s() - cpu
    return {
        "scenario": "catchup",
        "conversations": conversations,
        "missed_in": missed_in,
        "messages": messages,
        "rounds": rounds,
        "seconds": round(sum(took), 3),
        "messages_per_s": round(messages * rounds / sum(took), 1),
        "server_cpu_us_per_message": round(used * 1e6 / (messages * rounds), 2) if server.pid else None,
        "catch_up_ms": percentiles(took),
    }


async def _come_back(server: Target, token: str, expected: int) -> float:
    """Connect; return the seconds from there to ``caught_up``, with every message and receipt in place."""
    client = Returning()
    began = time.perf_counter()
    connection = await asyncio.wait_for(connect(server.url, token, client.on_frame), _PATIENCE_S)
    took = time.perf_counter() - began
    if client.messages != expected:
        raise ConnectionError(f"{client.messages} of {expected} messages came")
    client.tell(connection)
    answered = asyncio.Event()
    connection.on_frame = lambda _connection, _payload: answered.set()
    connection.send(b'{"type":"watermarks","conversationIds":[]}')  # answered after what was told
    await asyncio.wait_for(answered.wait(), _PATIENCE_S)
    connection.close()
    return took


async def _post(server: Target, owner_id: str, senders: Sequence[tuple[str, str]], progress: Progress) -> None:
    """Have each sender write to the owner, without a socket."""
    gate = asyncio.Semaphore(_POST_AT_ONCE)
    done = itertools.count(1)
    async with aiohttp.ClientSession(base_url=server.url) as http:

        async def one(index: int, user_id: str, token: str) -> None:
            body = {
                "clientMessageId": traffic.message_name(index),
                "conversationId": direct_conversation_id(user_id, owner_id),
                "contentType": "text",
                "content": "a message of usual length, for somebody who is away",
            }
            async with gate, http.post("/v1/messages", json=body, headers=_bearer(token)) as answer:
                if answer.status not in {200, 201}:
                    raise ConnectionError(f"no message: {await answer.text()}")
            progress("Writing what will be missed", next(done), len(senders))

        await asyncio.gather(*(one(index, *sender) for index, sender in enumerate(senders)))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
