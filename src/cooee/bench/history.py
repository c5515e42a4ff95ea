"""`history`: pages of old messages out of a store that has very many."""

import asyncio
import random
import re
import time
from pathlib import Path

import aiohttp

from cooee.adapters.sqlite.store import open_store
from cooee.bench import traffic
from cooee.bench.connection import LoadConnection, connect
from cooee.bench.figures import Figures, Progress, no_progress, percentiles, rounded
from cooee.bench.target import Prepare, Target
from cooee.domain.errors import CooeeError
from cooee.domain.ids import direct_conversation_id
from cooee.domain.message import LogRecord, Placed
from cooee.ports.cursors import CursorChange, Cursors, CursorUpdate
from cooee.ports.message_log import MessageLog

OWNER = "history-owner"
_QUICK = r'^cooee_fetch_seconds_bucket\{le="0\.001"\} (\S+)$'
_ALL = r"^cooee_fetch_seconds_count (\S+)$"
_TOGETHER = 5000
_SECONDS_APART = 0.001
_BODY = b'{"content":"a message of usual length, written some time ago"}'


def peer(number: int) -> str:
    """Return whom the owner has a conversation with."""
    return f"history-{number}"


def filled(messages: int, conversations: int, progress: Progress = no_progress) -> Prepare:
    """Return what fills a data folder with so many messages, in turn over the conversations, through the log's port."""

    async def prepare(folder: Path) -> None:
        store = await open_store(folder)
        try:
            await _fill(store.message_log, messages, conversations, progress)
            await _have_read(store.cursors, messages, conversations)
        finally:
            await store.aclose()

    return prepare


async def _fill(log: MessageLog, messages: int, conversations: int, progress: Progress) -> None:
    first_ms = time.time_ns() // 1_000_000 - int(messages * _SECONDS_APART * 1000) - 60_000
    for begin in range(0, messages, _TOGETHER):
        progress("Filling the store", begin, messages)
        end = min(messages, begin + _TOGETHER)
        written: asyncio.Future[Placed | CooeeError | None] = asyncio.get_running_loop().create_future()
        for number in range(begin, end):
            other = peer(number % conversations)
            now_ms = first_ms + int(number * _SECONDS_APART * 1000)
            record = LogRecord(
                _with(number % conversations), other, "d", f"{now_ms:012x}-{number:08x}", now_ms, "text", _BODY
            )
            log.append(record, written.set_result if number == end - 1 else _nothing)
        outcome = await written
        if isinstance(outcome, CooeeError):
            raise ConnectionError(str(outcome))


async def _have_read(cursors: Cursors, messages: int, conversations: int) -> None:
    """Let the owner have received everything: what is measured is the past, not catching up."""
    loop = asyncio.get_running_loop()
    waiting = []
    for number in range(min(conversations, messages)):
        done: asyncio.Future[CursorChange | CooeeError] = loop.create_future()
        last = len(range(number, messages, conversations))
        cursors.advance(CursorUpdate(_with(number), OWNER, "d", last), done.set_result)
        waiting.append(done)
    await asyncio.gather(*waiting)


def _with(number: int) -> str:
    return direct_conversation_id(OWNER, peer(number))


async def run(
    server: Target,
    *,
    messages: int,
    conversations: int,
    page: int,
    fetches: int,
    progress: Progress = no_progress,
) -> Figures:
    """Fetch ``fetches`` pages, one after the other, from anywhere in the past of any conversation."""
    ((_, token),) = await server.enrol_names([OWNER])
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    def on_frame(_connection: LoadConnection, payload: bytes) -> None:
        answers.put_nowait(payload)

    connection = await connect(server.url, token, on_frame)
    while not answers.empty():
        answers.get_nowait()
    deep = messages // conversations
    chance = random.Random(1)  # noqa: S311  # the same places each time
    took: list[float] = []
    cpu = server.cpu_s()
    for done in range(fetches):
        progress("Fetching pages", done, fetches)
        conversation_id = _with(chance.randrange(conversations))
        before = chance.randrange(min(page + 1, deep), deep + 2)
        began = time.perf_counter()
        connection.send(traffic.fetch_before(conversation_id, before, page))
        answer = traffic.read(await answers.get())
        took.append(time.perf_counter() - began)
        if answer.type != "messages":
            raise ConnectionError(f"no page: {answer.code or answer.type}")
    used = server.cpu_s() - cpu
    connection.close()
    within = await _within_1_ms(server)
    return {
        "scenario": "history",
        "messages": messages,
        "conversations": conversations,
        "page": page,
        "fetches": fetches,
        "seconds": round(sum(took), 3),
        "server_cpu_us_per_page": round(used * 1e6 / fetches, 1) if server.pid else None,
        "fetch_ms": percentiles(took),
        "pages_within_1_ms": rounded(within, 4),
    }


async def _within_1_ms(server: Target) -> float | None:
    """Return the share of pages that the server took up to 1 ms for, by its own metrics, if they can be read."""
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as answer:
            text = await answer.text() if answer.status == 200 else ""
    except aiohttp.ClientError:
        return None
    quick, all_of_them = (re.search(pattern, text, re.MULTILINE) for pattern in (_QUICK, _ALL))
    return float(quick[1]) / float(all_of_them[1]) if quick and all_of_them else None


def _nothing(_outcome: Placed | CooeeError | None) -> None:
    """Take a result that nobody waits for."""
