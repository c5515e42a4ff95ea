"""The command line's entry: ``cooee``. Each command is imported only when it is used."""

import importlib
import io
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from cooee.cli.choices import Choices, account_options, choices_of

_INTERRUPTED = 130

_COMMANDS = {
    "serve": ("cooee.cli.serve", "serve", "Run the chat server."),
    "config": ("cooee.cli.serve", "config", "Show the server's configuration."),
    "admin": ("cooee.cli.admin", "admin", "Administer a server on this machine."),
    "bench": ("cooee.cli.bench", "bench", "Load a server and print figures."),
    "register": ("cooee.cli.account", "register", "Create an account and log in."),
    "login": ("cooee.cli.account", "login", "Log in on a server."),
    "logout": ("cooee.cli.account", "logout", "Log out and forget the token."),
    "whoami": ("cooee.cli.account", "whoami", "Say who is logged in, and where."),
    "accounts": ("cooee.cli.accounts", "accounts", "List the accounts of this machine, and choose the usual one."),
    "chat": ("cooee.cli.chat", "chat", "Chat, full screen."),
    "send": ("cooee.cli.send", "send", "Send a message."),
    "download": ("cooee.cli.download", "download", "Save files of a conversation."),
    "listen": ("cooee.cli.listen", "listen", "Show what arrives, and ticks as they change."),
    "history": ("cooee.cli.conversations", "history", "Show a conversation."),
    "export": ("cooee.cli.export", "export", "Write a whole conversation: JSON lines, text or HTML."),
    "conversations": (
        "cooee.cli.conversations",
        "conversations",
        "List, mute, pin and archive conversations; how they are encrypted.",
    ),
    "read": ("cooee.cli.conversations", "read", "Mark a conversation as read."),
    "receipts": ("cooee.cli.conversations", "receipts", "Tell who received and who read a message."),
    "search": ("cooee.cli.conversations", "search", "Search the messages on this machine."),
    "react": ("cooee.cli.amend", "react", "React to a message by an emoji."),
    "edit": ("cooee.cli.amend", "edit", "Give a message another text."),
    "delete": ("cooee.cli.amend", "delete", "Delete a message for everyone."),
    "timer": ("cooee.cli.amend", "timer", "Let messages of a conversation disappear."),
    "outbox": ("cooee.cli.outbox", "outbox", "List, retry and discard messages that were not sent."),
    "groups": ("cooee.cli.groups", "groups", "List, found and administer groups."),
    "bots": ("cooee.cli.bots", "bots", "Make bots, give them tokens and incoming webhooks."),
    "contacts": ("cooee.cli.people", "contacts", "List, add and remove contacts."),
    "blocks": ("cooee.cli.people", "blocks", "List whom you block, block and unblock."),
    "users": ("cooee.cli.people", "users", "Find other users."),
    "devices": ("cooee.cli.devices", "devices", "List your devices, link new ones and revoke them."),
    "doctor": ("cooee.cli.doctor", "doctor", "Look for what is wrong with this account, and say what to do."),
    "store": ("cooee.cli.store", "store", "Protect, back up and restore what is on this machine."),
    "verify": ("cooee.cli.verify", "verify", "Compare safety numbers, so that nobody stands between."),
    "push": ("cooee.cli.push", "push", "Notifications: where this device gets them, and what they show."),
    "profile": ("cooee.cli.own", "profile", "Show and change what others see of you."),
    "account": (
        "cooee.cli.own",
        "account",
        "Change your password, make recovery codes, export or end your account.",
    ),
    "completion": ("cooee.cli.completion", "completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, named in one table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None when there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101  # the table above is code, not input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names from the table, importing nothing, and options."""
        found = [CompletionItem(name, help=text) for name, (_, _, text) in _COMMANDS.items()]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [item for item in found if item.value.startswith(incomplete)] + options

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when one is not known."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415  # only on this path

            close = difflib.get_close_matches(args[0], _COMMANDS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else " `cooee --help` lists the commands."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever goes wrong ends in one sentence and an exit code, never in a traceback."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as problem:  # noqa: BLE001  # the last one who can say it kindly
            raise _told(problem, choices_of(ctx)) from None


def _told(problem: Exception, choices: Choices) -> click.ClickException:
    """Return the sentence for ``problem``; usage errors of click's own stay as they are, but for JSON."""
    if isinstance(problem, click.UsageError) and not choices.as_json:
        return problem
    from cooee.cli.errors import explained  # noqa: PLC0415  # `cooee --help` needs none of it

    error = explained(problem, again=choices.again)
    error.as_json = choices.as_json
    return error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@account_options
@click.version_option(package_name="cooee")
def cli() -> None:
    """Cooee: real-time chat that you host yourself.

    Start a server with `cooee serve`; then, in other terminals, `cooee register alice`, `cooee send bob hello` and
    `cooee listen`. Several accounts can be logged in on one machine: --as NAME, before or after the command, says who
    acts.

    \b
    Exit codes: 0 done; 1 refused, or not possible as things are; 2 wrong usage;
                3 the server cannot be reached; 4 not logged in; 130 ended by Ctrl-C.
    """  # noqa: D301  # click needs the character itself


def main() -> Any:
    """Run the command line and end the process with the exit code that errors.py documents."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what cannot be shown is written out, and nothing breaks
    return cli(prog_name="cooee")
