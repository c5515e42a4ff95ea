"""What is chosen before or after a command's name: account, server, what opens the store, whether JSON is written."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cooee.cli.names import profiles

Command = TypeVar("Command", bound=Callable[..., Any])


class Choices:
    """The choices of one call of the command line."""

    def __init__(self) -> None:
        self.profile: str | None = None
        self.url: str | None = None
        self.as_json = False
        self.passphrase_file: str | None = None
        self.again = ""
        """What the chosen account does when the server does not take its token any more."""


def choices_of(context: click.Context) -> Choices:
    """Return the choices of the call that ``context`` belongs to."""
    return context.find_root().ensure_object(Choices)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> Any:
        if value:
            setattr(choices_of(context), name, value)
        return value

    return keep


_AS = click.option(
    "--as",
    "--profile",
    "profile",
    metavar="NAME",
    expose_value=False,
    callback=_keep("profile"),
    shell_complete=profiles,
    help="The account of this machine to use: its profile, its user, or user@host  [COOEE_PROFILE; cooee accounts]",
)
_URL = click.option(
    "--url",
    metavar="URL",
    expose_value=False,
    callback=_keep("url"),
    help="The server: of the account to use, or of a new one  [COOEE_URL; http://127.0.0.1:8080]",
)
_CA_FILE = click.option(
    "--ca-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    expose_value=False,
    callback=lambda _, __, value: _trust(value),
    help="An authority (PEM) to trust in the server's certificate  [COOEE_CA_FILE]",
)
_PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=False),
    expose_value=False,
    callback=_keep("passphrase_file"),
    help="Where the first line is the passphrase of the store, if it has one  [COOEE_PASSPHRASE; asked for]",
)
json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_keep("as_json"),
    is_eager=True,
    help="Write one JSON object a line.",
)


def account_options(command: Command) -> Command:
    """Add what means the same before and after the command's name."""
    return _AS(_URL(_CA_FILE(_PASSPHRASE_FILE(json_option(command)))))


def _trust(ca_file: str | None) -> str | None:
    """Let everything in this process trust the authority, as if the environment had named it."""
    if ca_file:
        os.environ["COOEE_CA_FILE"] = ca_file  # where the SDK looks
    return ca_file
