"""``cooee admin``: the operator's commands, by the socket in the data folder or on the store of a stopped server."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from cooee.cli.admin_backup import backup, restore
from cooee.cli.admin_bots import bots
from cooee.cli.admin_doctor import doctor
from cooee.cli.admin_place import Place, pass_place, running
from cooee.cli.admin_push import push
from cooee.cli.admin_socket import AdminSocket, NobodyListens, query
from cooee.cli.choices import json_option
from cooee.cli.errors import CliError, sentence
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import clock, safe, table
from cooee.cli.secret_input import password
from cooee.cli.targets import moment
from cooee.protocol import admin as bodies
from cooee.protocol.http import Health, Page
from cooee.services.accounts import AccountService

T = TypeVar("T")
_USERS = "/v1/admin/users"
_PAGE = 200
_USER = click.argument("user")


@click.group()
@click.option("--data-dir", metavar="FOLDER", help="The server's data folder  [COOEE_DATA_DIR; cooee-data]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The server's configuration file  [default: cooee.toml in this folder, if there is one]",
)
@json_option
@click.pass_context
def admin(context: click.Context, data_dir: str | None, config_file: Path | None) -> None:
    """Administer a server on this machine, as the user that runs it.

    A running server is asked through the socket in its data folder. Commands about users and invites also work while
    it does not run.
    """
    context.obj = Place(data_dir, config_file)


for _command in (backup, restore, doctor, bots, push):
    admin.add_command(_command)


@admin.group()
@json_option
def users() -> None:
    """List, create, disable, enable and delete accounts, and reset passwords."""


@users.command("list")
@json_option
@pass_place
@pass_invocation
def list_users(invocation: Invocation, place: Place) -> None:
    """List all accounts by userId, also the ones that have ended."""
    try:
        found = _all_users(place.socket())
    except NobodyListens:
        found = _offline(place, _all_offline)
    for user in found:
        invocation.tell(record("admin_user", user))
    now = invocation.now
    rows = [
        (
            user.user_id,
            safe(user.display_name),
            clock(user.created_at, now) if user.created_at else "",
            clock(user.last_seen, now) if user.last_seen else "",
            " ".join(name for name in ("bot", "admin", "disabled", "deleted") if getattr(user, name)),
        )
        for user in found
    ]
    invocation.say(*table(invocation.look, ("USER", "NAME", "CREATED", "LAST SEEN", ""), rows))
    if not found:
        invocation.note("There is no account yet.")


def _all_users(socket: AdminSocket) -> list[bodies.AdminUser]:
    found: list[bodies.AdminUser] = []
    cursor = ""
    while True:
        page = socket.call("GET", _USERS + query(cursor=cursor, limit=_PAGE), Page[bodies.AdminUser])
        found += page.items
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


async def _all_offline(accounts: AccountService) -> list[bodies.AdminUser]:
    found: list[bodies.AdminUser] = []
    after = ""
    while page := await accounts.page(after, _PAGE):
        found += [
            bodies.AdminUser(
                one.user_id,
                one.display_name,
                one.created_at,
                one.last_seen,
                one.disabled,
                one.deleted,
                one.admin,
                one.is_bot,
                one.owner_id,
            )
            for one in page
        ]
        after = page[-1].user_id
    return found


@users.command()
@_USER
@click.option("--display-name", metavar="TEXT", default="", help="How others see the user.")
@click.option("--admin", "is_admin", is_flag=True, help="Mark the account as an administrator's.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input  [default: made up]")
@json_option
@pass_place
@pass_invocation
def create(
    invocation: Invocation, place: Place, user: str, display_name: str, is_admin: bool, password_stdin: bool
) -> None:
    """Create an account, whatever registration says. A password is made up and shown once."""
    chosen = password(f"Password for {user}", from_stdin=True) if password_stdin else ""

    async def offline(accounts: AccountService) -> bodies.NewPassword:
        made_up = "" if chosen else _made_up()
        account = await accounts.create(user, chosen or made_up, display_name, admin=is_admin)
        return bodies.NewPassword(account.user_id, made_up)

    body = bodies.CreateUser(user, chosen, display_name, is_admin)
    made = _ask(place, "POST", _USERS, bodies.NewPassword, body, offline)
    _tell_password(invocation, "user_created", made, f"Created {made.user_id}")


@users.command("reset-password")
@_USER
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input  [default: made up]")
@json_option
@pass_place
@pass_invocation
def reset_password(invocation: Invocation, place: Place, user: str, password_stdin: bool) -> None:
    """Give an account another password; all its devices are logged out."""
    chosen = password(f"New password for {user}", from_stdin=True) if password_stdin else ""

    async def offline(accounts: AccountService) -> bodies.NewPassword:
        made_up = "" if chosen else _made_up()
        await accounts.reset_password(user, chosen or made_up)
        return bodies.NewPassword(user, made_up)

    made = _ask(place, "PUT", f"{_one(user)}/password", bodies.NewPassword, bodies.SetPassword(chosen), offline)
    _tell_password(invocation, "password_reset", made, f"{made.user_id} has a new password")


@users.command()
@_USER
@json_option
@pass_place
@pass_invocation
def disable(invocation: Invocation, place: Place, user: str) -> None:
    """Log an account out and keep it out."""
    _switch(place, user, disabled=True)
    invocation.tell({"type": "user_disabled", "userId": user}, f"{user} is disabled.")


@users.command()
@_USER
@json_option
@pass_place
@pass_invocation
def enable(invocation: Invocation, place: Place, user: str) -> None:
    """Let a disabled account in again."""
    _switch(place, user, disabled=False)
    invocation.tell({"type": "user_enabled", "userId": user}, f"{user} is enabled.")


def _switch(place: Place, user: str, *, disabled: bool) -> None:
    async def offline(accounts: AccountService) -> dict[str, Any]:
        await accounts.set_disabled(user, disabled=disabled)
        return {}

    _ask(place, "POST", f"{_one(user)}/{'disable' if disabled else 'enable'}", dict[str, Any], None, offline)


@users.command()
@_USER
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_place
@pass_invocation
def delete(invocation: Invocation, place: Place, user: str, yes: bool) -> None:
    """End an account with all its data. The name is never given again."""
    if not yes:
        invocation.confirm(f"End the account {user} with all its data?")

    async def offline(accounts: AccountService) -> None:
        await accounts.delete(user)

    try:
        place.socket().ask("DELETE", _one(user))
    except NobodyListens:
        _offline(place, offline)
    invocation.tell({"type": "user_deleted", "userId": user}, f"{user} has ended.")


@admin.group()
@json_option
def invites() -> None:
    """Make invites to register."""


@invites.command("create")
@click.option("--expires", callback=moment(0), help="When it ends: 8h, 7d or a date and time  [default: never]")
@click.option(
    "--max-uses", type=click.IntRange(min=0), default=1, show_default=True, help="Accounts it is good for; 0: no bound."
)
@json_option
@pass_place
@pass_invocation
def create_invite(invocation: Invocation, place: Place, expires: int, max_uses: int) -> None:
    """Make an invite to register."""

    async def offline(accounts: AccountService) -> bodies.RegistrationInvite:
        return bodies.RegistrationInvite(await accounts.invite(expires, max_uses), expires, max_uses)

    body = bodies.CreateRegistrationInvite(expires, max_uses)
    made = _ask(place, "POST", "/v1/admin/invites", bodies.RegistrationInvite, body, offline)
    invocation.tell(record("registration_invite", made), made.token)
    invocation.note(f"Who has it registers with: cooee register NAME --invite {made.token}")


@admin.command()
@json_option
@pass_place
@pass_invocation
def drain(invocation: Invocation, place: Place) -> None:
    """Send the clients away, little by little, and stop the server."""
    health = running(place, lambda socket: socket.call("POST", "/v1/admin/drain", Health))
    invocation.tell({"type": "drain", "status": health.status}, "The server drains and then stops.")


@admin.command()
@json_option
@pass_place
@pass_invocation
def stats(invocation: Invocation, place: Place) -> None:
    """Show the running server's figures."""
    figures = running(place, lambda socket: socket.call("GET", "/v1/admin/stats", dict[str, int | float | str]))
    lines = [f"{name:24} {_figure(value)}" for name, value in figures.items()]
    invocation.tell({"type": "stats", **figures}, *lines)


@admin.command("log-level")
@click.argument("level", type=click.Choice(["debug", "info", "warning", "error"]))
@json_option
@pass_place
@pass_invocation
def log_level(invocation: Invocation, place: Place, level: str) -> None:
    """Change how much the running server logs, until it stops."""
    wanted = msgspec.convert({"level": level}, bodies.LogLevel)
    running(place, lambda socket: socket.call("PUT", "/v1/admin/log-level", bodies.LogLevel, wanted))
    invocation.tell({"type": "log_level", "level": level}, f"The log level is {level} now.")


def _ask(
    place: Place,
    method: str,
    target: str,
    answer: type[T],
    body: msgspec.Struct | None,
    offline: Callable[[AccountService], Awaitable[T]],
) -> T:
    """Ask the running server, or do it on its store when none runs."""
    try:
        return place.socket().call(method, target, answer, body)
    except NobodyListens:
        return _offline(place, offline)


def _offline(place: Place, work: Callable[[AccountService], Awaitable[T]]) -> T:
    from cooee.app.wiring import StoreFailed, open_offline  # noqa: PLC0415  # the server's imports, only when needed

    config = place.config()

    async def working() -> T:
        async with open_offline(config) as accounts:
            return await work(accounts)

    try:
        return asyncio.run(working())
    except StoreFailed as problem:
        raise CliError(
            sentence(
                f"no server answers on {place.folder() / 'admin.sock'}, and its store cannot be opened: {problem}"
            ),
            code="store",
        ) from None


def _one(user: str) -> str:
    return f"{_USERS}/{quote(user, safe='')}"


def _made_up() -> str:
    import secrets  # noqa: PLC0415  # only offline

    return secrets.token_urlsafe(12)


def _tell_password(invocation: Invocation, kind: str, made: bodies.NewPassword, text: str) -> None:
    shown = {"password": made.password} if made.password else {}
    invocation.tell(
        {"type": kind, "userId": made.user_id, **shown},
        f"{text}; the password, shown only now: {made.password}" if made.password else f"{text}.",
    )


def _figure(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
