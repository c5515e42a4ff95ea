"""What the agent wants is carried out, answered, and given up by its rules."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from cooee.client import e2ee_worker
from cooee.client.changes import MessageKey
from cooee.client.e2ee import wants
from cooee.client.e2ee_worker import UNREACHABLE, E2eeWorker, found_keys
from cooee.client.errors import ConnectionFailed, ServerError
from cooee.client.ledger import Ledger
from cooee.client.model import Message
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef, uuid7
from cooee.protocol import frames, keys
from cooee.protocol.body import MessageRef
from tests.fakes.client_store import STORE_KEY

T = TypeVar("T")

CHAT = "dm:alice:bob"
ME = DeviceRef("alice", "d1")


class Server:
    """Answers the agent's wants, or raises ``problem``."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.asked: list[str] = []

    async def key_status(self) -> keys.KeyStatus:
        return self._done("status", keys.KeyStatus())

    async def publish_keys(self, _: keys.PublishKeys) -> keys.KeyStock:
        return self._done("publish", keys.KeyStock(100, 100))

    async def put_device_list(self, user_id: str, _: keys.SignedList, *, reset: bool, password: str) -> int:
        return self._done(f"list of {user_id}, {reset}, {password}", 7)

    async def device_lists(self, users: list[tuple[str, int]]) -> list[keys.UserDevices]:
        return self._done(f"lists {users}", [])

    async def group(self, conversation_id: str) -> str:
        return self._done(f"group {conversation_id}", "the group")

    async def claim_keys(self, devices: Any) -> keys.Claimed:
        return self._done(f"claim {[tuple(ref) for ref in devices]}", keys.Claimed(()))

    def _done(self, what: str, answer: T) -> T:
        self.asked.append(what)
        if self.problem is not None:
            raise self.problem
        return answer


class Answered:
    """As much of a turn as answers need."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.events: list[Any] = []

    def answer(self, want: wants.Want, answer: Any) -> None:
        self.answers.append((want.number, answer))

    def answer_failed(self, want: wants.Want, code: str, retry_after_ms: int | None = None) -> None:
        self.answers.append((want.number, code, retry_after_ms))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(Store(tmp_path, STORE_KEY), ME, encrypts=True)
    yield opened
    await opened.close()


def worker_of(ledger: Ledger, server: Server, turn: Answered) -> E2eeWorker:
    async def step(fill: Any) -> Any:
        fill(turn)
        return turn

    assert ledger.agent is not None
    return E2eeWorker(ledger, ledger.agent, server, None, step)  # type: ignore[arg-type]  # as much as is needed


LIST = keys.PutDeviceList("cGF5bG9hZA", "A" * 86, reset=True, password="pw")
CLAIM = keys.ClaimKeys((keys.DeviceName("bob", "d7"),))


@pytest.mark.parametrize(
    ("want", "asked", "answer"),
    [
        (wants.FetchStatus(number=1), "status", keys.KeyStatus()),
        (wants.PublishKeys(number=1, body=keys.PublishKeys("A" * 43)), "publish", keys.KeyStock(100, 100)),
        (wants.PutDeviceList(number=1, body=LIST), "list of alice, True, pw", keys.ListVersion(7)),
        (
            wants.FetchLists(number=1, body=keys.AskLists((keys.AskedList("bob", 3),))),
            "lists [('bob', 3)]",
            keys.DeviceLists(()),
        ),
        (wants.FetchGroup(number=1, conversation_id="g"), "group g", "the group"),
        (wants.Claim(number=1, body=CLAIM), "claim [('bob', 'd7')]", keys.Claimed(())),
    ],
)
async def test_each_want_is_one_request(ledger: Ledger, want: wants.Want, asked: str, answer: Any) -> None:
    server, turn = Server(), Answered()
    await worker_of(ledger, server, turn)._carry(want)
    assert (server.asked, turn.answers) == ([asked], [(1, answer)])


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ServerError("rate_limited", "slow", retryable=True, retry_after_ms=70), ("rate_limited", 70)),
        (ConnectionFailed("away"), (UNREACHABLE, None)),
        (OSError("disk"), (UNREACHABLE, None)),
    ],
)
async def test_what_fails_is_told_to_the_agent(ledger: Ledger, problem: Exception, told: tuple[Any, ...]) -> None:
    server, turn = Server(), Answered()
    server.problem = problem
    await worker_of(ledger, server, turn)._carry(wants.FetchStatus(number=4))
    assert turn.answers == [(4, *told)]


async def test_keys_are_looked_up_by_what_the_store_has_and_not_by_what_is_asserted(ledger: Ledger) -> None:
    message = Message(CHAT, 3, "703", "bob", "d7", "c3", 1_003, "text", "hi", encrypted=True)
    gone = Message(CHAT, 4, "704", "bob", "d7", "c4", 1_004, "deleted")

    def fill(turn: Turn) -> None:
        turn.messages[CHAT, 3] = message
        turn.messages[CHAT, 4] = gone
        turn.message_keys += [MessageKey(CHAT, n, "bob", "d7", f"c{n}", bytes(32)) for n in (3, 5)]

    await ledger.step(fill)
    items = tuple(
        MessageRef(
            conversation_id=CHAT, sequence_number=99, sender_id="bob", sender_device_id="d7", client_message_id=f"c{n}"
        )
        for n in (3, 4, 5, 6)
    )
    want = wants.LookUpKeys(asker=DeviceRef("bob", "d8"), items=items)
    [found] = await ledger.run(found_keys, ledger.store, want)
    assert (found.item, found.sequence_number, found.timestamp, found.key) == (items[0], 3, 1_003, bytes(32))


@pytest.mark.parametrize(("claimed", "believed"), [(9_999_999, 5_000), (4_000, 4_000)])
async def test_a_message_is_not_newer_than_its_sender_said(ledger: Ledger, claimed: int, believed: int) -> None:
    ident = uuid7(5_000, 7)
    message = Message(CHAT, 3, "703", "alice", "d1", ident, claimed, "text", "hi", encrypted=True)

    def fill(turn: Turn) -> None:
        turn.messages[CHAT, 3] = message
        turn.message_keys.append(MessageKey(CHAT, 3, "alice", "d1", ident, bytes(32)))

    await ledger.step(fill)
    item = MessageRef(
        conversation_id=CHAT, sequence_number=3, sender_id="alice", sender_device_id="d1", client_message_id=ident
    )
    want = wants.LookUpKeys(asker=DeviceRef("bob", "d8"), items=(item,))
    [found] = await ledger.run(found_keys, ledger.store, want)
    assert found.timestamp == believed


async def test_nobody_waits_long_for_strangers(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e2ee_worker, "ACQUAINT_S", 0.01)
    turns = 0

    async def step(fill: Any) -> Turn:
        nonlocal turns
        turns += 1
        return await ledger.step(fill)

    assert ledger.agent is not None
    worker = E2eeWorker(ledger, ledger.agent, Server(), None, step)  # type: ignore[arg-type]
    sealed = frames.MessageFrame("701", CHAT, 1, "bob", "d7", "c1", 1, "encrypted", msgspec.Raw(b'"x"'))
    async with asyncio.timeout(5):
        await worker.acquaint([sealed, msgspec.structs.replace(sealed, content_type="text", sender_id="carol")])
        await worker.acquaint([sealed])
    assert turns == 1, "a stranger who is not found is not waited for again at once"
    assert ledger.agent.looks_up("bob")
    assert not ledger.agent.looks_up("carol")
