"""Push notifications of the real server by Web Push, to browsers that are in this process and read what they get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.client import Api, ServerError
from cooee.domain.ids import direct_conversation_id
from cooee.protocol import frames
from tests.fakes.receiver import Answer, Got, Receiver, answer, receiving
from tests.fakes.web_platform import Subscription, b64, decrypted, point
from tests.integration.harness import ServerProcess
from tests.integration.people import House
from tests.integration.terminals import Shell, a_name

SETTINGS = {
    "PUSH_ALLOW_HTTP": "true",
    "PUSH_ALLOWED_NETWORKS": "127.0.0.0/8",
    "PUSH_BURST_S": "0.2",
    "PUSH_TIMEOUT_S": "5",
    "PUSH_RETRY_BASE_S": "0.1",
    "PUSH_RETRY_CAP_S": "0.5",
}
WAIT_S = 30.0
CREATED = answer(201)


class Browsers:
    """A push service and all the browsers that it pushes to, by the paths of their endpoints."""

    def __init__(self, receiver: Receiver) -> None:
        self.service = receiver
        self._subscriptions: dict[str, Subscription] = {}

    def subscription(self, name: str) -> dict[str, Any]:
        """Return what the browser ``name`` gives the page."""
        made = self._subscriptions[f"/{name}"] = Subscription()
        keys = {"p256dh": b64(point(made.key)), "auth": b64(made.auth)}
        return {"endpoint": f"http://127.0.0.1:{self.service.port}/{name}", "keys": keys}

    def read(self, got: Got) -> Any:
        """Decrypt one request."""
        browser = self._subscriptions[got.path]
        return msgspec.json.decode(decrypted(got.body, browser.key, browser.auth))

    def shown(self, name: str) -> list[Any]:
        """Return what the browser was given so far."""
        return [self.read(got) for got in self.service.got if got.path == f"/{name}"]

    async def until(self, name: str, count: int) -> list[Any]:
        """Wait until the browser was given so much, and return it."""
        await self.service.until(lambda: len(self.shown(name)) >= count, WAIT_S)
        return self.shown(name)


@asynccontextmanager
async def browsers(answers: Answer = lambda _got: CREATED) -> AsyncIterator[Browsers]:
    """Run a push service on this machine."""
    async with receiving(answers) as receiver:
        yield Browsers(receiver)


@asynccontextmanager
async def account(server: ServerProcess, name: str) -> AsyncIterator[Api]:
    """Give an account with one device, over HTTP: it is never live."""
    async with Api(server.url) as api:
        await api.register(name, "a long password")
        api.token = (await api.log_in(name, "a long password", device_name="test")).token
        yield api


async def say(api: Api, to: str, text: str) -> frames.Ack:
    """Send a text with a preview."""
    content = msgspec.Raw(msgspec.json.encode(text))
    return await api.send_message(frames.Send(a_name("m"), "text", content, to=to, notification_preview=text))


async def subscribe(api: Api, browser: dict[str, Any]) -> None:
    """Have the device pushed to by a browser."""
    await api.subscribe_web(browser["endpoint"], browser["keys"]["p256dh"], browser["keys"]["auth"])


async def forgotten(api: Api) -> None:
    """Wait until the server pushes to the device no more: what the platform answered is on its way to it."""
    for _ in range(round(WAIT_S * 100)):
        try:
            await api.push_subscription()
        except ServerError as refusal:
            if refusal.code == "not_found":
                return
            raise
        await asyncio.sleep(0.01)
    pytest.fail("the target is still there")


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """Run a server that may push to this machine."""
    with ServerProcess(tmp_path / "server", SETTINGS) as running:
        yield running


async def test_who_is_away_is_told_and_what_follows_comes_together(server: ServerProcess) -> None:
    alice, bob = a_name("alice"), a_name("bob")
    async with browsers() as service, account(server, alice) as sender, account(server, bob) as receiver:
        await subscribe(receiver, service.subscription("bob"))
        await say(sender, bob, "hello")
        (first,) = await service.until("bob", 1)
        assert (first["title"], first["body"], first["badge"], first["silent"]) == (alice, "hello", 1, False)
        for text in ("two", "three"):
            await say(sender, bob, text)
        last = (await service.until("bob", 2))[-1]
        while last["body"] != "3 messages":
            last = (await service.until("bob", len(service.shown("bob")) + 1))[-1]
        assert last["badge"] == 3
        topics = {got.headers["topic"] for got in service.service.got}
        assert len(topics) == 1
        assert topics != {first["tag"]}
    assert "hello" not in server.log


@pytest.mark.crash
async def test_killed_in_the_middle_of_a_batch_nobody_is_forgotten(server: ServerProcess) -> None:
    """Half of the requests hang when the server is killed; in the end everybody has been told, once at least."""
    names = [a_name(f"u{number}") for number in range(24)]
    calm = False

    def moods(got: Got) -> bytes | None:
        return CREATED if calm or sum(map(ord, got.path)) % 2 else None

    async with browsers(moods) as service, account(server, a_name("alice")) as sender, AsyncExitStack() as stack:
        for name in names:
            receiver = await stack.enter_async_context(account(server, name))
            await subscribe(receiver, service.subscription(name))
        await asyncio.gather(*(say(sender, name, f"hello {name}") for name in names))
        await service.service.until(lambda: len(service.service.got) >= 8, WAIT_S)
        server.kill9()
        answered = {got.path for got in service.service.got if moods(got) is not None}
        assert len(answered) < len(names)
        calm = True
        before = len(service.service.got)
        await asyncio.to_thread(server.start)
        after = service.service.got
        await service.service.until(lambda: answered | {got.path for got in after[before:]} == _paths(names), WAIT_S)
    for name in names:
        told = service.shown(name)
        assert {one["body"] for one in told} == {f"hello {name}"}
        assert len({one["tag"] for one in told}) == 1


@pytest.mark.crash
async def test_killed_right_behind_the_ack_it_tells_after_the_start(server: ServerProcess) -> None:
    alice, bob = a_name("alice"), a_name("bob")
    async with browsers() as service, account(server, alice) as sender, account(server, bob) as receiver:
        await subscribe(receiver, service.subscription("bob"))
        await say(sender, bob, "hello")
        server.kill9()
        await asyncio.to_thread(server.start)
        assert {one["body"] for one in await service.until("bob", 1)} == {"hello"}


async def test_read_on_one_device_is_cleared_from_the_other(server: ServerProcess, tmp_path: Path) -> None:
    alice, bob = a_name("alice"), a_name("bob")
    async with (
        browsers() as service,
        account(server, alice) as sender,
        account(server, bob) as phone,
        House(tmp_path) as house,
    ):
        await subscribe(phone, service.subscription("phone"))
        await say(sender, bob, "hello")
        (shown,) = await service.until("phone", 1)
        here = await house.enter(server.url, bob, "desk", password="a long password")
        await here.reads("hello")
        await here.client.mark_read(direct_conversation_id(alice, bob))
        cleared = (await service.until("phone", 2))[-1]
        assert (cleared["silent"], cleared["badge"]) == (True, 0)
        assert cleared["data"]["clear"] == shown["tag"]
        assert "title" not in cleared


async def test_what_was_read_before_its_time_is_told_of_never(server: ServerProcess, tmp_path: Path) -> None:
    """The user is there with one device, which reads at once; the other would be told after 6 s."""
    alice, bob, carol = a_name("alice"), a_name("bob"), a_name("carol")
    async with (
        browsers() as service,
        account(server, alice) as sender,
        account(server, bob) as phone,
        account(server, carol) as other,
        House(tmp_path) as house,
    ):
        await subscribe(phone, service.subscription("phone"))
        here = await house.enter(server.url, bob, "desk", password="a long password")
        await say(sender, bob, "read at once")
        await here.reads("read at once")
        await here.client.mark_read(direct_conversation_id(alice, bob))
        await say(other, bob, "not read")
        (told,) = await service.until("phone", 1)
        assert (told["title"], told["body"]) == (carol, "not read")


async def test_a_browser_that_is_gone_is_forgotten(server: ServerProcess) -> None:
    alice, bob = a_name("alice"), a_name("bob")
    async with (
        browsers(lambda _got: answer(410)) as service,
        account(server, alice) as sender,
        account(server, bob) as receiver,
    ):
        await subscribe(receiver, service.subscription("bob"))
        await say(sender, bob, "hello")
        await service.until("bob", 1)
        await forgotten(receiver)
        shell = Shell(server.folder / "home", server.url)
        data = ("--data-dir", str(server.data))
        told = await asyncio.to_thread(shell, "admin", *data, "push", "test", bob, code=1)
        assert "said where it is to be notified" in told.stderr
        assert len(service.service.got) == 1


async def test_the_command_line_shows_sets_and_removes(server: ServerProcess, tmp_path: Path) -> None:
    async with browsers() as service:
        shell = Shell(tmp_path / "home", server.url)
        bob = await asyncio.to_thread(shell.register, "bob")

        async def cooee(*arguments: str, given: str | bytes = "", code: int = 0) -> str:
            return (await asyncio.to_thread(shell, *arguments, given=given, code=code)).output

        browser = service.subscription("cli")
        await cooee("push", "show", code=1)
        assert browser["endpoint"] in await cooee("push", "set", "web", given=msgspec.json.encode(browser))
        assert browser["endpoint"] in await cooee("push", "show")
        await cooee("push", "set", "web", given="{}", code=2)
        assert "22:00-07:00" in await cooee("push", "settings", "--quiet", "22:00-07:00", "--utc-offset", "60")
        assert "preview      off" in await cooee("push", "settings", "--no-preview")
        assert "22:00-07:00" in await cooee("push", "settings")
        await cooee("push", "settings", "--quiet", "late", code=2)
        assert "delivered" in await cooee("admin", "--data-dir", str(server.data), "push", "test", bob)
        (shown,) = await service.until("cli", 1)
        assert shown["title"] == "Cooee"
        await cooee("push", "remove")
        await cooee("push", "show", code=1)


def _paths(names: list[str]) -> set[str]:
    return {f"/{name}" for name in names}
