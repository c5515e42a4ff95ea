"""Reading what was said, as the client that has the store does it: only there can encrypted messages be read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec

from cooee.cli.errors import CliError
from cooee.cli.operation import Operation, Tell
from cooee.cli.sending import message_at
from cooee.cli.statuses import ticked_through
from cooee.cli.targets import find_by_api, find_conversation, group_titles
from cooee.client import Api, Client, ConnectionFailed, HistoryPage, Message, NotLoggedIn, ServerError
from cooee.domain.receipt import Watermark

ONLINE_S = 30.0
"""How long a connection is waited for where it must be there."""
CATCH_UP_S = 10.0
"""How long a page of history waits for what was missed, while the server can be reached."""
HEAL_S = 8.0
"""How long a page of history waits for the keys of messages that cannot be read yet."""
GRACE_S = 2.0
"""How long an export or a download waits for such keys at its beginning."""
_LOOK_S = 0.05
_ASK_AGAIN_S = 0.05
_PAGE = 200


async def caught_up(client: Client) -> bool:
    """Wait until what was missed has arrived; tell whether it has. It has not where the server cannot be reached."""
    try:
        async with asyncio.timeout(CATCH_UP_S):
            while client.connection.state not in {"online", "waiting", "stopped"}:  # noqa: ASYNC110  # a few looks
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        return False
    return client.connection.state == "online"


async def online(client: Client) -> None:
    """Wait for the connection.

    Raises:
        ConnectionFailed: the server cannot be reached.
        Stopped: it refuses this device for good.
    """
    try:
        async with asyncio.timeout(ONLINE_S):
            while client.connection.state not in {"online", "waiting", "stopped"}:  # noqa: ASYNC110  # a few looks
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise ConnectionFailed("The server does not answer in time") from None
    if client.connection.state == "waiting":
        raise ConnectionFailed(client.connection.reason)
    if client.connection.state == "stopped":
        await client.online(0.1)


async def _titles(client: Client) -> dict[str, str]:
    with suppress(ConnectionFailed):
        return await group_titles(client.api)
    return {view.conversation_id: view.title for view in await client.conversations()}


# --- what cannot be read yet


class Waits(msgspec.Struct, frozen=True):
    """How many messages wait for their keys; ``unlinked``: they do until this device is linked."""

    unlinked: bool
    messages: int


class WaitsWish(msgspec.Struct, frozen=True):
    """Nothing is to be said."""


def waits(client: Client) -> Waits:
    """Return what waits now."""
    if not client.encrypts:
        return Waits(unlinked=False, messages=0)
    told = client.diagnostics()
    return Waits(told.standing == "unlinked", told.waiting)


async def _waits(client: Client, _: WaitsWish, __: Tell) -> Waits:
    there = await caught_up(client)
    until = asyncio.get_running_loop().time() + GRACE_S
    while there and (found := waits(client)).messages and not found.unlinked:
        if asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(_LOOK_S)
    return waits(client)


WAITS = Operation("waits", _waits, WaitsWish, Waits)


# --- a page of history


class HistoryWish(msgspec.Struct, frozen=True):
    """The newest ``limit`` messages of a conversation (as typed), below the number ``before``."""

    conversation: str
    limit: int
    before: int | None = None


class Shown(msgspec.Struct, frozen=True):
    """A page of history and what its own messages' ticks follow from. ``plain``: what is written now is not encrypted.

    ``timer``: after how many ms it disappears once read; 0: never. ``waits``: what waits in all conversations.
    """

    me: str
    conversation_id: str
    title: str
    messages: tuple[Message, ...]
    complete: bool
    ticked: Watermark
    plain: bool
    timer: int = 0
    waits: Waits = Waits(unlinked=False, messages=0)


async def _history(client: Client, wish: HistoryWish, _: Tell) -> Shown:
    me = client.me.user_id
    conversation_id = await find_conversation(wish.conversation, me, lambda: _titles(client))
    await caught_up(client)
    head = None
    try:
        head = await client.api.conversation(conversation_id)
    except NotLoggedIn:
        raise
    except (ConnectionFailed, ServerError):
        pass  # what is held here is shown
    newest = head.last_sequence_number + 1 if head is not None and wish.before is None else wish.before
    again = partial(client.history, conversation_id, before=newest, limit=wish.limit)
    page = await _healed(client, await again(), again)
    view = await client.conversation(conversation_id)
    if head is not None:
        ticked, title = await ticked_through(client.api, head, me), head.title
    else:
        ticked = Watermark(view.delivered_through, view.read_through) if view else Watermark()
        title = view.title if view else ""
    plain, timer = client.mode(conversation_id) == "plain", view.timer if view is not None else 0
    return Shown(me, conversation_id, title, page.messages, page.complete, ticked, plain, timer, waits(client))


HISTORY = Operation("history", _history, HistoryWish, Shown)


async def _healed(client: Client, page: HistoryPage, again: Callable[[], Awaitable[HistoryPage]]) -> HistoryPage:
    """Return a page once all of it can be read, or as it is after a while: keys may be on their way."""
    until = asyncio.get_running_loop().time() + HEAL_S
    while client.connection.state == "online" and any(message.problem == "waiting" for message in page.messages):
        if asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(_LOOK_S)
        page = await again()
    return page


# --- pages in order, for exports and files


class PageWish(msgspec.Struct, frozen=True):
    """The first messages of a conversation (its id) with a number above ``after``."""

    conversation_id: str
    after: int = 0


class Page(msgspec.Struct, frozen=True):
    """Messages in order, and up to which number there are no others; ``complete``: nothing follows."""

    messages: tuple[Message, ...]
    through: int
    complete: bool


async def _page(client: Client, wish: PageWish, _: Tell) -> Page:
    await caught_up(client)
    head = await client.api.conversation(wish.conversation_id)
    last = head.last_sequence_number
    through = min(max(wish.after, head.first_sequence_number - 1) + _PAGE, last)
    messages: list[Message] = []
    before = through + 1
    while before - 1 > wish.after:
        page = await client.history(wish.conversation_id, before=before, limit=_PAGE)
        found = [message for message in page.messages if wish.after < message.sequence_number < before]
        messages[:0] = found
        if page.complete or len(found) < len(page.messages) or not found:
            break
        before = found[0].sequence_number
    return Page(tuple(messages), through, through >= last)


PAGE = Operation("page", _page, PageWish, Page)


class FileWish(msgspec.Struct, frozen=True):
    """The message ``number`` of a conversation (its id), or the newest with a file."""

    conversation_id: str
    number: int | None = None


async def _with_file(client: Client, wish: FileWish, _: Tell) -> Message:
    await caught_up(client)
    if wish.number is not None:
        found = await message_at(client, wish.conversation_id, wish.number)
        if found.media is None:
            raise CliError(f"Message {wish.number} holds no file; `cooee history` shows which do.", code="not_found")
        return found
    before: int | None = (await client.api.conversation(wish.conversation_id)).last_sequence_number + 1
    while True:
        page = await client.history(wish.conversation_id, before=before, limit=_PAGE)
        for message in reversed(page.messages):
            if message.media is not None:
                return message
        if page.complete or not page.messages:
            raise CliError("There are no files in this conversation.", code="not_found")
        before = page.messages[0].sequence_number


FILE = Operation("file", _with_file, FileWish, Message)


# --- marking as read


class ReadWish(msgspec.Struct, frozen=True):
    """Up to which number a conversation (as typed) is read; None: all of it."""

    conversation: str
    through: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A message's place."""

    conversation_id: str
    sequence_number: int


async def _read(client: Client, wish: ReadWish, _: Tell) -> Place:
    conversation_id = (await find_by_api(client.api, wish.conversation, client.me.user_id))[0]
    head = (await client.api.conversation(conversation_id)).last_sequence_number
    number = min(wish.through or head, head)
    await client.online(ONLINE_S)
    await client.mark_read(conversation_id, number)
    await _until_known(client.api, conversation_id, number)
    return Place(conversation_id, number)


async def _until_known(api: Api, conversation_id: str, number: int) -> None:
    """Wait until the server says that it knows of the reading, so that the next command sees it."""
    try:
        async with asyncio.timeout(ONLINE_S):
            while (await api.conversation(conversation_id)).read_sequence_number < number:  # noqa: ASYNC110  # by HTTP
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError:
        raise CliError("The server does not confirm that; it is kept here and told when `cooee listen` runs.") from None


READ = Operation("read", _read, ReadWish, Place)


# --- search


class SearchWish(msgspec.Struct, frozen=True):
    """A text to look for, in one conversation (as typed) or in all that is held."""

    text: str
    conversation: str | None
    limit: int


class Found(msgspec.Struct, frozen=True):
    """Messages, newest first, and how the groups are called."""

    me: str
    messages: tuple[Message, ...]
    titles: dict[str, str]


async def _search(client: Client, wish: SearchWish, _: Tell) -> Found:
    titles = {view.conversation_id: view.title for view in await client.conversations()}

    async def known() -> dict[str, str]:
        return titles

    me = client.me.user_id
    within = None if wish.conversation is None else await find_conversation(wish.conversation, me, known)
    return Found(me, tuple(await client.search(wish.text, conversation_id=within, limit=wish.limit)), titles)


SEARCH = Operation("search", _search, SearchWish, Found, live=False)
