"""The programs in examples/ run as they stand, against a real server; so does the one in docs/bots.md."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from cooee.client import Client, Message, inbox
from tests.integration.harness import ROOT, ServerProcess
from tests.integration.people import WAIT_S, House, Person, new_user
from tests.integration.terminals import whole

SETTINGS = {"WEBHOOKS_ALLOW_HTTP": "true", "WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8"}
EXAMPLES = ROOT / "examples"


@pytest.fixture
async def alice(server: ServerProcess, tmp_path: Path) -> AsyncIterator[Person]:
    """Somebody who owns bots and talks to them."""
    async with House(tmp_path / "people") as house:
        yield await house.enter(server.url, await new_user(server.url, "alice"))


async def make_bot(alice: Person, name: str, *scopes: str) -> tuple[str, str]:
    """Make a bot with a token, and return its name and the token."""
    api = alice.client.api
    bot_id = f"{name}.{alice.client.me.user_id}"
    await api.create_bot(bot_id)
    made = await api.create_bot_token(bot_id, "test", scopes or ("messages:read", "messages:write"))
    return bot_id, made.token


@contextlib.asynccontextmanager
async def running(program: Path, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program, and kill it in the end without any warning."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        *arguments,
        env=whole({"PYTHONPATH": str(ROOT / "src"), **environment}),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        _, errors = await process.communicate()
        assert b"Traceback" not in errors, errors.decode()


async def said(alice: Person, bot_id: str, count: int) -> Sequence[str]:
    """Wait until the bot has said so much, and return its texts in order."""
    conversation_id = alice.client.conversation_id(bot_id)

    def found() -> list[Message]:
        return [message for message in alice.messages(conversation_id) if message.sender_id == bot_id]

    await alice.hears(Message, lambda _: len(found()) >= count)
    return [message.text for message in found()]


async def test_the_echo_bot_echoes_and_misses_nothing(alice: Person, server: ServerProcess, tmp_path: Path) -> None:
    bot_id, token = await make_bot(alice, "echo")
    call = (EXAMPLES / "echo_bot.py", server.url, str(tmp_path / "echo"))
    await alice.client.send_text(bot_id, "before you came")
    async with running(*call, COOEE_TOKEN=token):
        await alice.client.send_text(bot_id, "hello")
        assert await said(alice, bot_id, 2) == ["before you came", "hello"]
        await alice.client.wait_for_read((await alice.client.send_text(bot_id, "third")).client_message_id, WAIT_S)
    await alice.client.send_text(bot_id, "while you were away")
    async with running(*call, COOEE_TOKEN=token):
        assert (await said(alice, bot_id, 4))[-1] == "while you were away"


async def test_two_echo_bots_leave_each_other_alone(alice: Person, server: ServerProcess, tmp_path: Path) -> None:
    one, first = await make_bot(alice, "one")
    two, second = await make_bot(alice, "two")
    group = await alice.client.api.create_group("Echoes", [one, two])
    program = EXAMPLES / "echo_bot.py"
    async with (
        running(program, server.url, str(tmp_path / "one"), COOEE_TOKEN=first),
        running(program, server.url, str(tmp_path / "two"), COOEE_TOKEN=second),
    ):
        for text in ("hello", "last"):
            await alice.client.send_text(group.conversation_id, text)
            for bot_id in (one, two):
                await alice.hears(Message, lambda m, b=bot_id, t=text: (m.sender_id, m.text) == (b, t))  # type: ignore[misc]
        texts = [m.text for m in alice.messages(group.conversation_id) if m.sender_id in (one, two)]
        assert sorted(texts) == ["hello", "hello", "last", "last"]


async def test_the_reminder_bot_keeps_its_word_over_a_restart(
    alice: Person, server: ServerProcess, tmp_path: Path
) -> None:
    bot_id, token = await make_bot(alice, "reminder")
    call = (EXAMPLES / "reminder_bot.py", server.url, str(tmp_path / "reminder"))
    async with running(*call, COOEE_TOKEN=token):
        await alice.client.send_text(bot_id, "remind me in 2 seconds to take the bread out")
        await alice.client.send_text(bot_id, "Remind me in 300 days to plant a tree")
        assert (await said(alice, bot_id, 2))[:2] == ["I will.", "I will."]
    async with running(*call, COOEE_TOKEN=token):
        assert (await said(alice, bot_id, 3))[2] == "You wanted to take the bread out"
        await alice.client.send_text(bot_id, "remind me in 0 seconds to breathe")
        assert (await said(alice, bot_id, 5))[3:] == ["I will.", "You wanted to breathe"]


async def test_the_webhook_bridge_answers_what_is_signed(alice: Person, server: ServerProcess) -> None:
    bot_id, token = await make_bot(alice, "bridge", "messages:write")
    me = alice.client.me.user_id
    url = f"http://127.0.0.1:{unused_port()}/"
    made = await alice.client.api.create_webhook(bot_id, url)
    await alice.client.send_text(bot_id, "before it listens")
    secrets = {"COOEE_TOKEN": token, "COOEE_WEBHOOK_SECRET": made.secret}
    async with running(EXAMPLES / "webhook_bridge.py", server.url, url.rsplit(":", 1)[1].strip("/"), **secrets):
        await alice.client.send_text(bot_id, "hello")
        assert await said(alice, bot_id, 2) == [f"{me} said: before it listens", f"{me} said: hello"]
        forged = {"webhook-id": "msg_1", "webhook-timestamp": "1764000000", "webhook-signature": "v1,AAAA"}
        async with aiohttp.ClientSession() as http, http.post(url, data=b'{"events":[]}', headers=forged) as answer:
            assert answer.status == 401


async def test_the_program_of_the_guide_runs(alice: Person, server: ServerProcess, tmp_path: Path) -> None:
    [text] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "bots.md").read_text("utf-8"), re.DOTALL)
    program = tmp_path / "bot.py"
    program.write_text(text.replace("http://127.0.0.1:8080", server.url).replace('"my-bot"', repr(str(tmp_path / "s"))))
    bot_id, token = await make_bot(alice, "guide")
    async with running(program, COOEE_TOKEN=token):
        await alice.client.send_text(bot_id, "hello")
        assert await said(alice, bot_id, 1) == ["You said: hello"]


async def test_the_inbox_gives_again_what_was_not_done_with(
    alice: Person, server: ServerProcess, tmp_path: Path
) -> None:
    """Left while the second of three was being worked on: the second and third come again, the first does not."""
    bot_id, token = await make_bot(alice, "inbox")
    for text in ("one", "two", "three"):
        await alice.client.send_text(bot_id, text)
    async with Client(server.url, store=tmp_path / "bot", token=token) as bot:
        seen = []
        async with contextlib.aclosing(inbox(bot)) as messages:
            async for message in messages:
                seen.append(message.text)
                if message.text == "two":
                    break
    async with (
        Client(server.url, store=tmp_path / "bot", token=token) as bot,
        asyncio.timeout(WAIT_S),
        contextlib.aclosing(inbox(bot)) as messages,
    ):
        seen += [(await anext(messages)).text, (await anext(messages)).text]
        await bot.send_text(bot_id, "a note to myself")
        await alice.client.send_text(bot_id, "four")
        seen.append((await anext(messages)).text)
    assert seen == ["one", "two", "two", "three", "four"]


def test_the_examples_are_short() -> None:
    programs = sorted(EXAMPLES.glob("*.py"))
    assert [program.name for program in programs] == ["echo_bot.py", "reminder_bot.py", "webhook_bridge.py"]
    for program in programs:
        assert 10 <= len(program.read_text("utf-8").splitlines()) <= 50, program.name
