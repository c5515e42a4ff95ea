"""Reactions, edits, timers and modes, as the client that has the store sets them."""

from contextlib import suppress

import msgspec

from cooee.cli.errors import CliError
from cooee.cli.operation import Operation, Tell
from cooee.cli.reading import Place, caught_up, online, waits
from cooee.cli.sending import Noted, Prepared, follow_control, known_titles, message_at, refused
from cooee.cli.targets import find_conversation
from cooee.cli.trouble import waiting_text
from cooee.client import Client, Message, Pending, SendFailed
from cooee.protocol.body import MAX_EMOJI, MAX_EXPIRES_MS

Told = Prepared | Noted


class Amendment(msgspec.Struct, frozen=True):
    """What becomes of the message ``number`` of a conversation (as typed): an emoji, or a text."""

    conversation: str
    number: int
    said: str


class TimerWish(msgspec.Struct, frozen=True):
    """After how many ms what is written in a conversation disappears once read; 0: never. None asks only."""

    conversation: str
    ms: int | None = None


class TimerIs(msgspec.Struct, frozen=True):
    """How the timer of a conversation stands."""

    conversation_id: str
    ms: int


class ModeWish(msgspec.Struct, frozen=True):
    """Whether what is written in a conversation is in the clear."""

    conversation: str
    plain: bool


class ModeIs(msgspec.Struct, frozen=True):
    """How a conversation is written. ``changed``: it was not so before."""

    me: str
    conversation_id: str
    title: str
    plain: bool
    changed: bool


class Held(msgspec.Struct, frozen=True):
    """What this machine knows of a conversation beside what the server tells: how it is written, its last words."""

    plain: bool
    timer: int
    last: Message | None


class Nothing(msgspec.Struct, frozen=True):
    """Nothing further is to be said."""


async def _amended(client: Client, wish: Amendment, tell: Tell, what: str) -> Place:
    me = client.me.user_id
    conversation_id = await find_conversation(wish.conversation, me, lambda: known_titles(client))
    await caught_up(client)
    found = waits(client)
    if waiting := waiting_text(found.messages, unlinked=found.unlinked):
        tell(Noted(waiting))
    await message_at(client, conversation_id, wish.number)  # so that it is held here
    try:
        act = client.react if what == "react" else client.edit
        await _sent(client, await act(conversation_id, wish.number, wish.said), tell)
    except SendFailed as problem:
        raise _told(problem, conversation_id, me) from None
    return Place(conversation_id, wish.number)


async def _react(client: Client, wish: Amendment, tell: Tell) -> Place:
    if len(wish.said) > MAX_EMOJI:
        raise CliError(f"A reaction is one emoji, {MAX_EMOJI} characters at most.", code="too_large")
    return await _amended(client, wish, tell, "react")


async def _edit(client: Client, wish: Amendment, tell: Tell) -> Place:
    return await _amended(client, wish, tell, "edit")


REACT = Operation("react", _react, Amendment, Place, told=Told)
EDIT = Operation("edit", _edit, Amendment, Place, told=Told)


async def _timer(client: Client, wish: TimerWish, tell: Tell) -> TimerIs:
    me = client.me.user_id
    conversation_id = await find_conversation(wish.conversation, me, lambda: known_titles(client))
    await caught_up(client)
    if wish.ms is None:
        view = await client.conversation(conversation_id)
        return TimerIs(conversation_id, view.timer if view is not None else 0)
    if not 0 <= wish.ms <= MAX_EXPIRES_MS:
        raise CliError("That is longer than a message may last: 366 days at most.", code="too_large")
    try:
        await _sent(client, await client.set_timer(conversation_id, wish.ms), tell)
    except SendFailed as problem:
        raise _told(problem, conversation_id, me) from None
    return TimerIs(conversation_id, wish.ms)


TIMER = Operation("timer", _timer, TimerWish, TimerIs, told=Told)


async def _mode(client: Client, wish: ModeWish, _: Tell) -> ModeIs:
    titles = await known_titles(client)

    async def known() -> dict[str, str]:
        return titles

    conversation_id = await find_conversation(wish.conversation, client.me.user_id, known)
    await online(client)
    mode = "plain" if wish.plain else "encrypted"
    view = await client.conversation(conversation_id)
    others = view is not None and view.told_plain and mode == "encrypted"
    changed = client.mode(conversation_id) != mode or others
    if changed:
        await client.set_mode(conversation_id, "plain" if wish.plain else "encrypted")
    return ModeIs(client.me.user_id, conversation_id, titles.get(conversation_id, ""), wish.plain, changed)


MODE = Operation("mode", _mode, ModeWish, ModeIs)


async def _overview(client: Client, _: Nothing, __: Tell) -> dict[str, Held]:
    return {
        view.conversation_id: Held(view.plain or view.told_plain, view.timer, view.last)
        for view in await client.conversations()
    }


OVERVIEW = Operation("overview", _overview, Nothing, dict[str, Held], live=False)


async def _sent(client: Client, entry: Pending, tell: Tell) -> None:
    """Wait until what was said has its number, or no connection comes about."""
    try:
        await follow_control(client, entry, tell)
    except SendFailed:
        with suppress(KeyError):
            await client.discard(entry.client_message_id)
        raise


def _told(problem: SendFailed, conversation_id: str, me: str) -> Exception:
    if problem.code == "not_encrypted":
        return CliError(
            "This conversation is written in the clear, and there is no such thing in it; "
            "`cooee conversations encrypted` changes that.",
            code=problem.code,
        )
    return refused(problem, conversation_id, me)
