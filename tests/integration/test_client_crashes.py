"""``kill -9`` of client processes at seeded moments: nothing lost, nothing doubled, nothing acknowledged too early."""

import asyncio
import random
import sys
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from cooee.client import Api, Client, load_account, log_in
from cooee.client.store import Store
from cooee.client.store_key import open_key
from cooee.domain.ids import direct_conversation_id
from cooee.protocol.frames import MessageFrame
from tests.integration.harness import ROOT, ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, new_user

COUNT = 60
KILLS = 6
PROGRAM = Path(__file__).with_name("crashing_client.py")

pytestmark = [pytest.mark.slow, pytest.mark.crash]


Encryption = Literal["on", "off"]


class Doomed:
    """One account whose client process is started, killed and started again on one store."""

    def __init__(self, url: str, store: Path, peer: str, encryption: Encryption = "off") -> None:
        self._encryption = encryption
        self.url = url
        self.store = store
        self.peer = peer
        self.put: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            self.url,
            str(self.store),
            self.peer,
            str(COUNT),
            self._encryption,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )

    async def lines(self, count: int) -> bool:
        """Read until ``count`` lines came, or all is sent; tell whether all is sent."""
        assert self._process is not None
        assert self._process.stdout is not None
        for _ in range(count):
            async with asyncio.timeout(WAIT_S):
                line = (await self._process.stdout.readline()).decode().strip()
            assert line, "the client ended by itself"
            if line == "end":
                return True
            if line.startswith("put "):
                number = int(line[4:])
                assert number not in self.put, "a message that was in the outbox is written twice"
                self.put.add(number)
        return False

    async def until_readable(self) -> None:
        """Wait until all messages of both sides are held, and can be read."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while (await self._process.stdout.readline()).strip() != b"all":
                pass

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


@pytest.mark.parametrize("encryption", ["off", "on"])
@pytest.mark.parametrize("seed", range(5))
async def test_clients_killed_at_any_moment_lose_and_double_nothing(
    server: ServerProcess, tmp_path: Path, seed: int, encryption: Encryption
) -> None:
    dice = random.Random(seed)
    users = [await new_user(server.url, name) for name in ("alice", "bob")]
    chat = direct_conversation_id(*users)
    both = []
    for user, peer in (users, users[::-1]):
        await log_in(server.url, user, PASSWORD, store=tmp_path / user)
        both.append(Doomed(server.url, tmp_path / user, peer, encryption))
    for _ in range(KILLS):
        await asyncio.gather(*(client.start() for client in both))
        await asyncio.gather(*(client.lines(dice.randint(1, 15)) for client in both))
        await asyncio.sleep(dice.random() / 50)
        await asyncio.gather(*(client.kill() for client in both))
        for client, user, peer in zip(both, users, users[::-1], strict=True):
            await nothing_is_acknowledged_that_is_not_held(client.store, user, peer, chat)
    await asyncio.gather(*(client.start() for client in both))
    await asyncio.gather(*(until_the_end(client) for client in both))
    for client, user in zip(both, users, strict=True):
        await until_held(server.url, client.store, user, chat)
    await asyncio.gather(*(client.until_readable() for client in both))
    await asyncio.gather(*(client.kill() for client in both))
    for client in both:
        await everything_is_there_once(server.url, client.store, users, chat, encryption)


async def until_the_end(client: Doomed) -> None:
    while not await client.lines(1):
        pass


async def until_held(url: str, store: Path, user: str, chat: str) -> None:
    """Wait until the server knows that the user has everything."""
    account = load_account(store)
    assert account is not None
    async with Api(url, account.token) as api, asyncio.timeout(WAIT_S):
        while (await api.conversation(chat)).received_sequence_number < 2 * COUNT:  # noqa: ASYNC110  # over HTTP
            await asyncio.sleep(0.05)


async def nothing_is_acknowledged_that_is_not_held(store: Path, user: str, peer: str, chat: str) -> None:
    """Own messages count as held from their append; what others sent is acknowledged only when it is stored here."""
    account = load_account(store)
    assert account is not None
    opened = Store(store, open_key(store))
    try:
        held = {found.sequence_number for found in opened.search("", None, 1000)}
        async with Api(account.url, account.token) as api:
            known = await api.conversation(chat)
            page = await api.history(chat, after=0, limit=200)
        others = {number for number, sender in senders(page.messages) if sender == peer}
        missing = {number for number in others - held if number <= known.received_sequence_number}
        assert not missing, f"{user} lacks {missing}, which he acknowledged"
    finally:
        opened.close()


def senders(messages: tuple[msgspec.Raw, ...]) -> list[tuple[int, str]]:
    decoded = [msgspec.json.decode(raw, type=MessageFrame) for raw in messages]
    return [(frame.sequence_number, frame.sender_id) for frame in decoded]


async def everything_is_there_once(url: str, store: Path, users: list[str], chat: str, encryption: Encryption) -> None:
    async with Client(url, store=store, live=False, encryption=encryption) as client:
        assert not await client.outbox()
        held = sorted(await client.search("m", limit=10 * COUNT), key=lambda message: message.sequence_number)
        shown = (await client.history(chat, limit=200)).messages
        assert [message.sequence_number for message in held] == list(range(1, 2 * COUNT + 1))
        assert list(shown) == held
        for sender in users:
            sent = [message.text for message in held if message.sender_id == sender]
            assert sent == [f"m{number}" for number in range(COUNT)], f"what {sender} sent, as {client.me} has it"
