"""Outgoing webhooks of the real server: nothing acknowledged is lost whatever dies, and nobody is reached unasked."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from cooee.client import Api, ConnectionFailed, ServerError
from cooee.protocol import frames
from cooee.protocol.webhooks import Webhook, WebhookWithSecret
from tests.fakes.receiver import Got, Receiver, answer, receiving
from tests.integration.harness import ServerProcess
from tests.integration.terminals import Shell, a_name

SETTINGS = {
    "WEBHOOKS_ALLOW_HTTP": "true",
    "WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
    "WEBHOOKS_RETRY_BASE_S": "0.05",
    "WEBHOOKS_RETRY_CAP_S": "0.2",
    "WEBHOOKS_TIMEOUT_S": "1",
    "WEBHOOKS_ATTEMPTS": "1000",
    "WEBHOOKS_BATCH_EVENTS": "3",
    "LIMITS_BOT_CHANGES": "100000/min",
}
SEEDS = (1, 2, 3)
WAIT_S = 60.0


class Owner:
    """A person with a bot, over HTTP; what the server acknowledged is kept in ``acked``, by place."""

    def __init__(self, api: Api, bot: str) -> None:
        self.api = api
        self.bot = bot
        self.acked: dict[tuple[str, int], str] = {}
        self.groups: list[str] = []
        self._count = 0

    async def webhook(self, url: str) -> WebhookWithSecret:
        """Make a webhook of the bot."""
        return await self.api.create_webhook(self.bot, url)

    async def say(self, to: str = "") -> None:
        """Send a message to the bot or a group, again and again until it is acknowledged."""
        self._count += 1
        text = f"message {self._count}"
        content = msgspec.Raw(msgspec.json.encode(text))
        name = f"c{self._count}"
        if to:
            frame = frames.Send(name, "text", content, conversation_id=to)
        else:
            frame = frames.Send(name, "text", content, to=self.bot)
        while True:
            try:
                ack = await self.api.send_message(frame)
            except (ConnectionFailed, ServerError) as problem:
                if isinstance(problem, ServerError) and not problem.retryable:
                    raise
                await asyncio.sleep(0.02)
                continue
            assert ack.conversation_id
            assert ack.sequence_number
            self.acked[ack.conversation_id, ack.sequence_number] = text
            return

    async def until(self, webhook_id: str, done: Callable[[Webhook], bool]) -> Webhook:
        """Ask for the webhook's state until it is so."""
        async with asyncio.timeout(WAIT_S):
            while not done(found := await self.api.webhook(self.bot, webhook_id)):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.05)
            return found


@asynccontextmanager
async def owning(server: ServerProcess) -> AsyncIterator[Owner]:
    """Register a person with a bot and two groups that it is in."""
    user, bot = a_name("owner"), a_name("bot")
    async with Api(server.url) as api:
        await api.register(user, "correct horse")
        api.token = (await api.log_in(user, "correct horse", device_name="test")).token
        await api.create_bot(bot)
        owner = Owner(api, bot)
        owner.groups = [(await api.create_group(name, (bot,))).conversation_id for name in ("Tea", "Coffee")]
        yield owner


class Ledger:
    """What a receiver took that keeps to the contract: by webhook-id, each once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.secret = ""
        self.calm = False
        self._first = True
        self.taken: dict[str, list[tuple[str, int, str]]] = {}
        self.ids_of: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.refused = self.repeated = 0

    def __call__(self, got: Got) -> bytes | None:
        """Take the request or not, and answer, or not, or something else."""
        got.verify(self.secret)
        events = [(e["conversationId"], e["sequenceNumber"], e["content"]) for e in got.json["events"]]
        for conversation_id, number, _ in events:
            self.ids_of[conversation_id, number].add(got.webhook_id)
        mood = "take" if self.calm else self._rng.choice(("take", "take", "break", "fail", "hang", "slow down"))
        if self._first:
            mood, self._first = "break", False
        if mood in ("take", "break"):
            self.repeated += got.webhook_id in self.taken
            self.taken.setdefault(got.webhook_id, events)
        else:
            self.refused += 1
        if mood == "break":  # taken, but the server cannot know
            return b""
        if mood == "hang":
            return None
        if mood == "slow down":
            return answer(429, "Retry-After: 0")
        return answer(200) if mood == "take" else answer(self._rng.choice((302, 400, 404, 500, 503)))

    @property
    def events(self) -> list[tuple[str, int, str]]:
        """All that was taken, in order."""
        return [event for events in self.taken.values() for event in events]

    def check(self, acked: dict[tuple[str, int], str]) -> None:
        """Fail when something is missing, doubled, out of order, or came under two ids."""
        events = self.events
        assert {(conversation_id, number): text for conversation_id, number, text in events} == acked
        assert len(events) == len(acked)
        last: dict[str, int] = defaultdict(int)
        for conversation_id, number, _ in events:
            assert number > last[conversation_id], "out of order"
            last[conversation_id] = number
        assert {place: ids for place, ids in self.ids_of.items() if len(ids) > 1} == {}


@pytest.mark.crash
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_acknowledged_arrives_in_order_whatever_dies(tmp_path: Path, seed: int) -> None:
    """The server is killed with -9 in the middle, the receiver too; it refuses, hangs, and breaks off as it likes."""
    rng = random.Random(seed)
    ledger = Ledger(rng)
    with ServerProcess(tmp_path, SETTINGS) as server:
        async with owning(server) as owner, AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving(ledger))
            port = receiver.port
            made = await owner.webhook(receiver.url)
            ledger.secret = made.secret
            for round_ in range(4):
                talking = [asyncio.create_task(owner.say(rng.choice(["", *owner.groups]))) for _ in range(30)]
                await asyncio.sleep(rng.uniform(0.02, 0.4))
                if round_ % 2:
                    await stack.aclose()  # the receiver dies too
                server.kill9()
                await asyncio.to_thread(server.start)
                if round_ % 2:
                    await asyncio.sleep(rng.uniform(0, 0.3))
                    receiver = await stack.enter_async_context(receiving(ledger, port))
                await asyncio.gather(*talking)
            ledger.calm = True
            await receiver.until(lambda: len(ledger.events) >= len(owner.acked), WAIT_S)
            state = await owner.until(made.webhook_id, lambda found: not found.error)
    ledger.check(owner.acked)
    assert len(owner.acked) == 120
    assert ledger.refused
    assert ledger.repeated
    assert (state.enabled, state.dead_letters) == (True, 0)


def test_the_ledger_notices_what_is_wrong() -> None:
    ledger = Ledger(random.Random(0))
    ledger.taken = {"m1": [("a", 1, "x"), ("a", 2, "y")]}
    ledger.check({("a", 1): "x", ("a", 2): "y"})
    for acked in ({("a", 1): "x"}, {("a", 1): "x", ("a", 2): "y", ("b", 1): "z"}):
        with pytest.raises(AssertionError):
            ledger.check(acked)
    ledger.taken = {"m1": [("a", 2, "y")], "m2": [("a", 1, "x")]}
    with pytest.raises(AssertionError, match="out of order"):
        ledger.check({("a", 1): "x", ("a", 2): "y"})
    ledger.taken = {"m1": [("a", 1, "x")]}
    ledger.ids_of["a", 1] |= {"m1", "m2"}
    with pytest.raises(AssertionError):
        ledger.check({("a", 1): "x"})


async def test_a_stopped_server_goes_on_where_it_ended(tmp_path: Path) -> None:
    """SIGTERM while the receiver holds a request: the log stays clean, and the request comes again."""
    with ServerProcess(tmp_path, SETTINGS) as server:
        async with owning(server) as owner, receiving(lambda _got: None) as receiver:
            await owner.webhook(receiver.url)
            await owner.say()
            await receiver.until(lambda: bool(receiver.got))
            assert await asyncio.to_thread(server.stop) == 0
            receiver.answers = lambda _got: answer()
            before = len(receiver.got)
            await asyncio.to_thread(server.start)
            await receiver.until(lambda: len(receiver.got) > before)
    assert {got.webhook_id for got in receiver.got} == {receiver.got[0].webhook_id}


async def test_two_ticks_come_with_the_2xx_and_not_before(server: ServerProcess) -> None:
    async with owning(server) as owner, receiving(lambda _got: answer(500)) as receiver:
        await owner.webhook(receiver.url)
        await owner.say()
        await receiver.until(lambda: len(receiver.got) >= 3)
        ((conversation_id, number),) = owner.acked

        async def delivered() -> int:
            found = await owner.api.conversation(conversation_id)
            return next(member.delivered for member in found.members if member.user_id == owner.bot)

        assert await delivered() == 0
        receiver.answers = lambda _got: answer(204)
        async with asyncio.timeout(WAIT_S):
            while await delivered() < number:  # noqa: ASYNC110  # a bot's owner is told by receipts; this only asks
                await asyncio.sleep(0.02)


async def test_a_receiver_that_hangs_holds_up_nobody_else(server: ServerProcess) -> None:
    async with AsyncExitStack() as stack:
        slow, quick = [await stack.enter_async_context(owning(server)) for _ in range(2)]
        hanging = await stack.enter_async_context(receiving(lambda _got: None))
        receiver = await stack.enter_async_context(receiving())
        for _ in range(5):
            await slow.webhook(hanging.url)
        await quick.webhook(receiver.url)
        await slow.say()
        await hanging.until(lambda: len(hanging.got) >= 5)
        for _ in range(20):
            await quick.say()
        await receiver.until(lambda: sum(len(got.json["events"]) for got in receiver.got) == 20)


async def test_a_receiver_that_is_gone_is_left_alone_until_it_is_enabled(server: ServerProcess) -> None:
    async with owning(server) as owner, receiving(lambda _got: answer(410)) as receiver:
        made = await owner.webhook(receiver.url)
        await owner.say()
        state = await owner.until(made.webhook_id, lambda found: not found.enabled)
        assert "410" in state.disabled_because
        await owner.say()
        assert len(receiver.got) == 1
        receiver.answers = lambda _got: answer()
        await owner.api.update_webhook(owner.bot, made.webhook_id, enabled=True)
        await receiver.until(lambda: sum(len(got.json["events"]) for got in receiver.got) == 3)
        assert receiver.got[0].webhook_id == receiver.got[1].webhook_id


async def test_what_is_given_up_is_kept_and_tried_again_when_asked(tmp_path: Path) -> None:
    few = {"WEBHOOKS_ATTEMPTS": "2", "WEBHOOKS_DISABLE_AFTER": "3", "WEBHOOKS_BATCH_EVENTS": "1"}
    with ServerProcess(tmp_path, SETTINGS | few) as server:
        async with owning(server) as owner, receiving(lambda _got: answer(500)) as receiver:
            made = await owner.webhook(receiver.url)
            await owner.say()
            await owner.say()
            state = await owner.until(made.webhook_id, lambda found: found.dead_letters == 2)
            assert state.error == "the receiver answered 500"
            server.kill9()
            await asyncio.to_thread(server.start)
            letters = await owner.api.dead_letters(owner.bot, made.webhook_id)
            assert [letter.attempts for letter in letters] == [2, 2]
            assert {letter.letter_id for letter in letters} == {got.webhook_id for got in receiver.got}
            receiver.answers = lambda _got: answer()
            receiver.got.clear()
            await owner.say()
            assert await owner.api.retry_dead_letters(owner.bot, made.webhook_id) == 2
            await owner.until(made.webhook_id, lambda found: found.dead_letters == 0)
            await receiver.until(lambda: len(receiver.got) == 3)
            assert {letter.letter_id for letter in letters} < {got.webhook_id for got in receiver.got}
            assert sorted(got.json["events"][0]["content"] for got in receiver.got) == sorted(owner.acked.values())
            metrics = server.output  # the log names no URL and no content
    assert receiver.url not in metrics
    assert "message 1" not in server.log


async def test_nobody_is_reached_who_may_not_be(tmp_path: Path) -> None:
    closed = {"WEBHOOKS_ALLOWED_NETWORKS": "192.0.2.0/24", "WEBHOOKS_ALLOW_HTTP": "true", "WEBHOOKS_ATTEMPTS": "1"}
    with ServerProcess(tmp_path, closed) as server:
        async with owning(server) as owner, receiving() as receiver:
            for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"):
                with pytest.raises(ServerError) as refused:
                    await owner.webhook(f"http://{host}:{receiver.port}/")
                assert refused.value.code == "forbidden"
            for url in (f"http://2130706433:{receiver.port}/", f"http://a@localhost:{receiver.port}/"):
                with pytest.raises(ServerError) as refused:
                    await owner.webhook(url)
                assert refused.value.code == "bad_frame"
            made = await owner.webhook(f"http://localhost:{receiver.port}/")
            tested = await owner.api.test_webhook(owner.bot, made.webhook_id)
            assert (tested.delivered, tested.status) == (False, 0)
            assert "no address" in tested.error
            await owner.say()
            state = await owner.until(made.webhook_id, lambda found: found.dead_letters == 1)
            assert state.error == tested.error
            assert receiver.got == []


async def test_the_command_line_looks_after_webhooks(server: ServerProcess, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home", server.url)
    async with receiving() as receiver:
        await asyncio.to_thread(_from_the_command_line, shell, receiver)


def _from_the_command_line(shell: Shell, receiver: Receiver) -> None:
    shell.register("alice")
    bot = a_name("bot")
    shell("bots", "create", bot)
    (made,) = shell.json("bots", "webhooks", "create", bot, receiver.url, "--event", "message", "--event", "own")
    webhook_id = made["webhookId"]
    assert (made["type"], made["events"], made["enabled"]) == ("webhook", ["message", "own"], True)
    assert shell.json("bots", "webhooks", "test", bot, webhook_id) == [
        {"type": "webhook_tested", "delivered": True, "status": 200, "error": ""}
    ]
    receiver.got[0].verify(made["secret"])
    (listed,) = shell.json("bots", "webhooks", "list", bot)
    assert "secret" not in listed
    (turned,) = shell.json("bots", "webhooks", "rotate", bot, webhook_id)
    assert turned["secret"] != made["secret"]
    receiver.answers = lambda _got: answer(503)
    failed = shell("bots", "webhooks", "test", bot, webhook_id, "--json", code=1)
    assert json.loads(failed.stdout)["status"] == 503
    assert "receiver answered 503" in json.loads(failed.stderr)["message"]
    for got in receiver.got[1:]:
        got.verify(made["secret"])
        got.verify(turned["secret"])
    shell("bots", "webhooks", "update", bot, webhook_id, "--disable")
    assert "its owner disabled it" in shell("bots", "webhooks", "show", bot, webhook_id).stdout
    (changed,) = shell.json("bots", "webhooks", "update", bot, webhook_id, "--enable", "--event", "message")
    assert (changed["enabled"], changed["events"]) == (True, ["message"])
    assert shell.json("bots", "webhooks", "dead", bot, webhook_id) == []
    assert shell.json("bots", "webhooks", "retry", bot, webhook_id) == [{"type": "dead_letters_retrying", "letters": 0}]
    shell.json("bots", "webhooks", "delete", bot, webhook_id)
    assert shell.json("bots", "webhooks", "list", bot) == []
