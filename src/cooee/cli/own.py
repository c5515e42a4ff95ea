"""``cooee profile`` and ``cooee account``: what a user does with the own account."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import msgspec

from cooee.cli.account import checked_user, forget_token
from cooee.cli.choices import account_options
from cooee.cli.errors import NOT_LOGGED_IN, CliError, sentence, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.profile import checked_url
from cooee.cli.records import record
from cooee.cli.render import safe
from cooee.cli.secret_input import password, password_stdin
from cooee.cli.whole_file import check_target, whole_file
from cooee.client.api import Api
from cooee.client.errors import NotLoggedIn
from cooee.domain.errors import ErrorCode
from cooee.protocol import http


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def profile(context: click.Context) -> None:
    """Show and change what others see of you. Without a command: show it."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@profile.command()
@account_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show your profile and privacy settings."""
    _tell_me(invocation, invocation.call(lambda api: api.me()))


@profile.command("set")
@click.option("--name", metavar="TEXT", help="How others see you; empty: your userId.")
@click.option("--about", metavar="TEXT", help="A line about you.")
@click.option("--last-seen", type=click.Choice(["everyone", "contacts", "nobody"]), help="Who sees when you are there.")
@click.option("--read-receipts/--no-read-receipts", default=None, help="Blue ticks, both ways.")
@click.option("--searchable/--not-searchable", default=None, help="Whether others find you by search.")
@click.option("--group-adds", type=click.Choice(["everyone", "contacts"]), help="Who may add you to groups.")
@account_options
@pass_invocation
def change(invocation: Invocation, /, name: str | None, about: str | None, **privacy: Any) -> None:
    """Change your profile or privacy settings; what is not named stays.

    Example: cooee profile set --name "Alice A." --last-seen nobody
    """
    chosen = {field: value for field, value in privacy.items() if value is not None}
    if name is None and about is None and not chosen:
        raise usage("Say what to change; `cooee profile set --help` lists it.")
    patch = http.PatchMe(
        msgspec.UNSET if name is None else name,
        msgspec.UNSET if about is None else about,
        http.PatchPrivacy(**chosen) if chosen else msgspec.UNSET,
    )
    _tell_me(invocation, invocation.call(lambda api: api.update_me(patch)))


@click.group()
@account_options
def account() -> None:
    """Change your password, make recovery codes, export or end your account."""


@account.command("password")
@password_stdin
@account_options
@pass_invocation
def change_password(invocation: Invocation, password_stdin: bool) -> None:
    """Change your password; your other devices are logged out.

    From standard input: two lines, the present and the new one; COOEE_PASSWORD may give the present one.
    """
    invocation.login()  # before anybody types a password in vain
    present = password("Present password", from_stdin=password_stdin)
    new = password("New password", from_stdin=password_stdin, confirm=True, variable="")
    invocation.call(lambda api: api.change_password(present, new))
    invocation.tell({"type": "password_changed"}, "The password is changed; your other devices are logged out.")


@account.command("recovery-codes")
@account_options
@pass_invocation
def recovery_codes(invocation: Invocation) -> None:
    """Make ten new recovery codes; all former ones are void.

    Each sets a new password once: cooee account recover USER
    """
    codes = invocation.call(lambda api: api.new_recovery_codes())
    invocation.tell({"type": "recovery_codes", "codes": list(codes)}, *codes)
    invocation.note("Keep them where others cannot read them: they are shown only now.")


@account.command()
@click.argument("user")
@password_stdin
@account_options
@pass_invocation
def recover(invocation: Invocation, user: str, password_stdin: bool) -> None:
    """Set a new password for USER by a recovery code; all devices are logged out.

    From standard input: two lines, the code and the new password.
    """
    user_id = checked_user(user)
    url = checked_url(invocation.url) if invocation.url else invocation.profiles.default_url()
    code = password("Recovery code", from_stdin=password_stdin, variable="")
    new = password("New password", from_stdin=password_stdin, confirm=True)

    async def recovering() -> None:
        async with Api(url) as api:
            try:
                await api.recover(user_id, code, new)
            except NotLoggedIn as refusal:
                raise CliError(sentence(refusal.message), NOT_LOGGED_IN, code=ErrorCode.UNAUTHORIZED.value) from None

    invocation.run(recovering())
    invocation.tell(
        {"type": "recovered", "userId": user_id, "url": url},
        f"{user_id} has a new password; log in with `cooee login {user_id}`.",
    )


@account.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file to write, readable for you alone  [default: standard output]",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@account_options
@pass_invocation
def export(invocation: Invocation, output: Path | None, force: bool) -> None:
    """Write all data of your account as JSON. A file gets its name when all of it is there."""
    if output is not None:
        check_target(output, force=force)

    async def exporting(api: Api) -> int:
        written = 0
        with whole_file(output, force=force) if output else nullcontext(sys.stdout.buffer) as file:
            async for piece in api.export():
                written += file.write(piece)
                if output is not None:
                    invocation.progress(f"Exporting: {written // 1_000_000:,} MB", 0, None)
            file.flush()
        return written

    written = invocation.call(exporting)
    if output is not None:
        invocation.tell(
            {"type": "exported", "file": str(output), "bytes": written}, f"Wrote {written} bytes to {output}."
        )


@account.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask; needs --user as well.")
@click.option("--user", metavar="USER", help="The account that shall end, to be sure that it is the right one.")
@account_options
@pass_invocation
def delete_account(invocation: Invocation, yes: bool, user: str | None) -> None:
    """End your account, on the server and on this machine. There is no way back."""
    chosen = invocation.login()

    async def named(api: Api) -> str:
        return (await api.me()).user_id

    user_id = invocation.call(named)
    if yes and user is None:
        raise usage(f"Name the account too: cooee account delete --yes --user {user_id}")
    if not yes:
        user = click.prompt(
            f"This ends {user_id} at {chosen.url} with all its data.\nType the userId to go on", err=True
        )
    if user != user_id:
        raise usage(f"This is {user_id}, not {safe(str(user))}; nothing was deleted.")
    invocation.call(lambda api: api.delete_account())
    forget_token(invocation, chosen.profile, erase=True)
    invocation.tell({"type": "account_deleted", "userId": user_id, "url": chosen.url}, f"{user_id} has ended.")


def _tell_me(invocation: Invocation, me: http.Me) -> None:
    rows = [
        ("user", me.user_id),
        ("name", safe(me.display_name)),
        ("about", safe(me.about)),
        *((("kind", "bot"),) if me.bot else ()),
        ("last seen", me.privacy.last_seen),
        ("read receipts", _on_off(me.privacy.read_receipts)),
        ("searchable", _on_off(me.privacy.searchable)),
        ("group adds", me.privacy.group_adds),
    ]
    invocation.tell(record("profile", me), *(f"{name:14} {value}" for name, value in rows))


def _on_off(value: bool) -> str:
    return "on" if value else "off"
