"""One call of the command line: what was chosen (account, server, JSON), where it writes, and how it runs the SDK."""

import asyncio
import functools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TextIO, TypeVar

import click

from cooee.cli.choices import Choices, choices_of
from cooee.cli.errors import INTERRUPTED, CliError, usage
from cooee.cli.profile import Login, Profiles, login_command
from cooee.cli.progress import Bar
from cooee.cli.render import Look
from cooee.client.api import Api
from cooee.client.model import Account

P = ParamSpec("P")
T = TypeVar("T")


def look_of(out: TextIO, environment: Mapping[str, str]) -> Look:
    """Return what ``out`` can show: colour on a terminal unless NO_COLOR is set, ticks where it is UTF-8."""
    colour = out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    encoding = getattr(out, "encoding", None) or "ascii"
    unicode = encoding.lower().startswith("utf")
    return Look(colour, unicode, "ascii" if unicode else encoding)


class Invocation:
    """The choices of one call, and what follows from them."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.profile = choices.profile
        self.url = choices.url
        self.as_json = choices.as_json
        self.passphrase_file = choices.passphrase_file
        self.profiles = Profiles()
        self._bar = Bar("", quiet=True)

    @property
    def look(self) -> Look:
        """What standard output can show."""
        return look_of(sys.stdout, os.environ)

    @property
    def now(self) -> datetime:
        """The time, in the local zone."""
        return datetime.now().astimezone()

    def tell(self, record: Mapping[str, Any], *lines: str) -> None:
        """Write ``record`` as one line of JSON, or without ``--json`` the lines for people."""
        if self.as_json:
            self._write(json.dumps(record, ensure_ascii=not self.look.unicode, separators=(",", ":")))
        else:
            for line in lines:
                self._write(self.look.plain(line))

    def say(self, *lines: str) -> None:
        """Write lines for people only."""
        if not self.as_json:
            for line in lines:
                self._write(self.look.plain(line))

    def note(self, line: str) -> None:
        """Write a hint to standard error, for people only."""
        if not self.as_json:
            with self._bar.aside():
                click.echo(line, err=True)

    def progress(self, text: str, done: int, total: int | None) -> None:
        """Say what the work that `run` does is at; ``total`` None: nobody knows how much there is."""
        self._bar.show(text, done, total)

    def settle(self) -> None:
        """Take the bar away for good: from now on the work itself tells how it goes."""
        self._bar.end()

    def _write(self, line: str) -> None:
        with self._bar.aside():
            sys.stdout.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
            sys.stdout.flush()

    @staticmethod
    def confirm(question: str) -> None:
        """Ask a person.

        Raises:
            CliError: the answer is no, or standard input is no terminal and has none.
        """
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            if sys.stdin is not None and sys.stdin.isatty():
                raise  # Ctrl-C, or Ctrl-D
            click.echo(err=True)
            raise usage("Nothing was done, for nobody answered: --yes goes on without asking.") from None
        if not agreed:
            raise CliError("Nothing was done.")

    def login(self) -> Login:
        """Return the account to use.

        Raises:
            CliError: nobody is logged in, or it is not said who of several.
        """
        chosen = self.profiles.login(self.profile, self.url)
        if chosen.user_id:
            kept = Account(chosen.url, chosen.user_id, chosen.device_id, "")
            self._choices.again = login_command(chosen.profile, kept)
        else:
            self._choices.again = "it comes from COOEE_TOKEN"
        return chosen

    def run(self, work: Coroutine[Any, Any, T], *, bar: bool = True) -> T:
        """Run ``work`` to its end; Ctrl-C lets it clean up and ends with exit code 130.

        ``bar``: say on a terminal that it goes on when it takes its time.
        """
        try:
            with Bar("Waiting for the server", quiet=self.as_json or not bar) as self._bar:
                return asyncio.run(work)
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                click.echo(err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    def call(self, work: Callable[[Api], Awaitable[T]], *, bar: bool = True) -> T:
        """Run some requests as the chosen account."""
        login = self.login()

        async def calling() -> T:
            async with Api(login.url, login.token) as api:
                return await work(api)

        return self.run(calling(), bar=bar)


def pass_invocation(command: Callable[Concatenate[Invocation, P], T]) -> Callable[P, T]:
    """Give the command its `Invocation` as first argument."""

    @functools.wraps(command)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        return command(Invocation(choices_of(click.get_current_context())), *args, **kwargs)

    return called
