"""What people write for a conversation, a time or a number of seconds, and what is meant by it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import click

from cooee.cli.errors import CliError, usage
from cooee.cli.render import safe
from cooee.client.api import Api
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import check_conversation_id, direct_conversation_id, is_user_id

Titles = Callable[[], Awaitable[Mapping[str, str]]]
"""Asks for the titles of the groups, by conversation id."""

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d|w)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


async def find_conversation(text: str, me: str, titles: Titles) -> str:
    """Return the id of the conversation that ``text`` means.

    A userId is the direct chat with that user; ``dm:…`` and ``group:…`` are ids; anything else, also behind
    ``group:``, is the title of a group.

    Raises:
        CliError: no group has that title, or several have it.
    """
    if is_user_id(text):
        return direct_conversation_id(me, text)
    if text.startswith("dm:"):
        return _checked(text)
    known = await titles()
    name = text.removeprefix("group:").strip()
    if f"group:{name}" in known:
        return f"group:{name}"
    found = [conversation_id for conversation_id, title in known.items() if title.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise usage(f"Several groups are called {safe(name)!r}; name one by its id: {', '.join(found)}")
    if text.startswith("group:"):
        return _checked(text)
    user = f" A userId is in lower case: {text.lower()}." if is_user_id(text.lower()) else ""
    raise CliError(
        f"You are in no group called {safe(text)!r}; `cooee groups` lists yours.{user}",
        code=ErrorCode.NOT_FOUND.value,
    )


def _checked(conversation_id: str) -> str:
    try:
        check_conversation_id(conversation_id)
    except CooeeError as problem:
        raise usage(f"{safe(conversation_id)}: {problem.message}.") from None
    return conversation_id


async def group_titles(api: Api) -> dict[str, str]:
    """Return the titles of the groups the user is or was in, as the server has them."""
    return {
        conversation.conversation_id: conversation.title
        async for conversation in api.conversations()
        if conversation.kind == "group"
    }


async def find_by_api(api: Api, text: str, me: str) -> tuple[str, str]:
    """Return the conversation that ``text`` means, and who the caller is; ``me`` may be empty when it is not known."""
    user_id = me or (await api.me()).user_id
    return await find_conversation(text, user_id, lambda: group_titles(api)), user_id


async def find_group(api: Api, text: str) -> str:
    """Return the id of the group that ``text`` names by id or title.

    Raises:
        CliError: there is no such group.
    """
    return await find_conversation(
        text if text.startswith("group:") else f"group:{text}", "", lambda: group_titles(api)
    )


def moment(otherwise: int) -> Callable[[click.Context, click.Parameter, str | None], int]:
    """Return the callback of an option that takes a time: a duration from now such as ``8h``, or a local date and time.

    It gives ms since the epoch, or ``otherwise`` when the option is not there.
    """

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> int:
        if text is None:
            return otherwise
        try:
            return _time_of(text)
        except (ValueError, OverflowError, OSError):
            raise click.BadParameter(
                f"{text!r} is no time; write 30m, 8h, 7d or 2026-01-31T18:00.", context, parameter
            ) from None

    return convert


def _time_of(text: str) -> int:
    matched = _DURATION.fullmatch(text)
    if matched:
        when = datetime.now().astimezone() + timedelta(**{_UNITS[matched[2]]: int(matched[1])})
    else:
        when = datetime.fromisoformat(text)
    return int(when.timestamp() * 1000)  # without a zone it is local
