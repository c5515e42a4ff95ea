"""Arguments that name a person, a conversation or a profile; the shell completes them from what this machine holds.

Nobody is asked: the profiles' folders and the chosen account's local store say all that is offered.
"""

import os
import re
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def offered(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the names that begin so, in any case; with spaces escaped where the shell leaves that to us."""
    begin = incomplete.casefold()
    found = [name for name in dict.fromkeys(names) if name.casefold().startswith(begin) and _LINE.fullmatch(name)]
    return [CompletionItem(_escaped(name)) for name in found]


def _escaped(name: str) -> str:
    if not os.environ.get("_COOEE_COMPLETE", "").startswith("bash"):
        return name
    return "".join(one if _PLAIN.fullmatch(one) else f"\\{one}" for one in name)


def _held(context: click.Context, *, people: bool, groups: bool) -> Iterable[str]:
    """Yield the names of the chosen account's conversations, last activity first."""
    from cooee.cli.choices import choices_of  # noqa: PLC0415  # it needs the names here, for its own options
    from cooee.cli.profile import Profiles  # noqa: PLC0415  # only a completion needs them
    from cooee.cli.render import chat_name  # noqa: PLC0415
    from cooee.client.peek import held_conversations  # noqa: PLC0415
    from cooee.domain.ids import is_direct, is_user_id  # noqa: PLC0415

    choices = choices_of(context)
    profiles = Profiles()
    name, account = profiles.account(choices.profile, choices.url)
    for conversation in held_conversations(profiles.store(name)):
        if is_direct(conversation.conversation_id):
            if people:
                yield chat_name(conversation.conversation_id, account.user_id)
        elif groups:
            title = conversation.title
            if not _LINE.fullmatch(title):
                yield conversation.conversation_id
            else:
                yield f"group:{title}" if is_user_id(title) else title


def profiles(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the accounts of this machine."""
    from cooee.cli.profile import Profiles  # noqa: PLC0415  # only a completion needs them

    return [
        CompletionItem(name, help=f"{account.user_id} at {account.url}")
        for name, account in Profiles().all().items()
        if name.startswith(incomplete)
    ]


def _completed(*, people: bool, groups: bool) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from cooee.cli.errors import CliError  # noqa: PLC0415

        try:
            return offered(_held(context, people=people, groups=groups), incomplete)
        except (CliError, OSError):
            return []  # a completion is no place for complaints

    return complete


PEOPLE = _completed(people=True, groups=False)
"""Completes users with whom there are direct chats."""
CHATS = _completed(people=True, groups=True)
"""Completes conversations."""
_GROUPS = _completed(people=False, groups=True)

CONVERSATION = click.argument("conversation", shell_complete=CHATS)
GROUP = click.argument("group", shell_complete=_GROUPS)
USER = click.argument("user", shell_complete=PEOPLE)
USERS = click.argument("users", nargs=-1, required=True, shell_complete=PEOPLE)
