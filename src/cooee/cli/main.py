"""The command line's entry: ``cooee``. Each group of commands is imported only when it is used."""

import importlib
import sys
from typing import Any

import click

_COMMANDS = {
    "serve": ("cooee.cli.serve", "serve", "Run the chat server."),
    "config": ("cooee.cli.serve", "config", "Show the server's configuration."),
    "admin": ("cooee.cli.admin", "admin", "Administer a server on this machine."),
    "register": ("cooee.cli.account", "register", "Create an account and log in."),
    "login": ("cooee.cli.account", "login", "Log in on a server."),
    "logout": ("cooee.cli.account", "logout", "Log out and forget the token."),
    "whoami": ("cooee.cli.account", "whoami", "Say who is logged in, and where."),
    "send": ("cooee.cli.chat", "send", "Send a message."),
    "listen": ("cooee.cli.chat", "listen", "Show what arrives, and ticks as they change."),
    "history": ("cooee.cli.chat", "history", "Show a conversation."),
    "conversations": ("cooee.cli.chat", "conversations", "List conversations."),
    "groups": ("cooee.cli.groups", "groups", "Create and administer groups."),
    "contacts": ("cooee.cli.people", "contacts", "Contacts and blocks."),
    "devices": ("cooee.cli.people", "devices", "List and revoke devices."),
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cooee")
def cli() -> None:
    """Cooee: real-time chat that you host yourself.

    Start a server with `cooee serve`; then, in other terminals, `cooee register alice` and `cooee send bob hello`.
    """


def main() -> Any:
    """Run the command line; errors that are the user's to mend end in one line and exit code 1 (2 for usage)."""
    try:
        return cli(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
