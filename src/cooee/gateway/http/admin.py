"""The administrative API: for whoever may open its Unix socket, which has mode 0600 in the data folder."""

import secrets
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import is_user_id
from cooee.gateway.http import admin_bots
from cooee.gateway.http.app import HttpSettings, app_of
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Auth, Call, Route
from cooee.gateway.http.server import METRICS_TYPE
from cooee.ports.accounts import Account
from cooee.ports.devices import Device
from cooee.protocol import admin, http, push
from cooee.services.accounts import AccountService
from cooee.services.bots import BotService
from cooee.services.devices import unauthorized
from cooee.services.enrolment import Enrolment
from cooee.services.profiles import checked_user_id
from cooee.services.push import PushService

_MADE_UP_BYTES = 12


class AdminServices(msgspec.Struct, frozen=True):
    """What administration needs.

    ``drain`` begins to drain and returns; ``stats`` are plain numbers and texts by name; ``set_log_level`` takes
    debug, info, warning or error; ``start_backup`` begins a backup to an absolute path, over what is there if so said,
    and ``backup_progress`` tells of it; ``ready`` and ``metrics`` are those of `HttpServices`.
    """

    accounts: AccountService
    bots: BotService
    enrolment: Enrolment
    push: PushService
    drain: Callable[[], None]
    stats: Callable[[], Mapping[str, int | float | str]]
    set_log_level: Callable[[str], None]
    start_backup: Callable[[str, bool], None]
    backup_progress: Callable[[], admin.BackupProgress]
    ready: Callable[[], Awaitable[None]]
    metrics: Callable[[], bytes]


_Call = Call[AdminServices]


def admin_app(services: AdminServices, settings: HttpSettings) -> ASGIApp:
    """Return the administrative API; serve it on the socket only."""

    async def authenticate(_: str) -> Device:
        raise unauthorized()

    return app_of(ADMIN_ROUTES, services, authenticate, settings)


async def list_users(call: _Call) -> http.Page[admin.AdminUser]:
    """List accounts by userId."""
    query: PageQuery = call.query
    found = await call.services.accounts.page(from_cursor(query.cursor, is_user_id), query.size + 1)
    return page_of([_seen(account) for account in found], query.size, lambda user: user.user_id)


async def create_user(call: _Call) -> admin.NewPassword:
    """Open an account."""
    wanted: admin.CreateUser = call.body
    made_up = "" if wanted.password else secrets.token_urlsafe(_MADE_UP_BYTES)
    account = await call.services.accounts.create(
        wanted.user_id, wanted.password or made_up, wanted.display_name, admin=wanted.admin
    )
    return admin.NewPassword(account.user_id, made_up)


async def enrol_users(call: _Call) -> admin.EnrolledUsers:
    """Open many accounts, each with a device that is logged in."""
    wanted: admin.EnrolUsers = call.body
    enrolled = await call.services.enrolment.enrol(wanted.user_ids, wanted.device_name, wanted.device_type)
    return admin.EnrolledUsers(tuple(admin.EnrolledUser(*each) for each in enrolled))


async def disable_user(call: _Call) -> admin.AdminUser:
    """Log an account out and keep it out."""
    return _seen(await call.services.accounts.set_disabled(call.path["userId"], disabled=True))


async def enable_user(call: _Call) -> admin.AdminUser:
    """Let a disabled account in again."""
    return _seen(await call.services.accounts.set_disabled(call.path["userId"], disabled=False))


async def delete_user(call: _Call) -> None:
    """End an account."""
    await call.services.accounts.delete(call.path["userId"])


async def reset_password(call: _Call) -> admin.NewPassword:
    """Give an account another password."""
    wanted: admin.SetPassword = call.body
    user_id = checked_user_id(call.path["userId"])
    made_up = "" if wanted.password else secrets.token_urlsafe(_MADE_UP_BYTES)
    await call.services.accounts.reset_password(user_id, wanted.password or made_up)
    return admin.NewPassword(user_id, made_up)


async def test_push(call: _Call) -> http.Page[push.PushTested]:
    """Send a test notification to every device of an account."""
    user_id = checked_user_id(call.path["userId"])
    return http.Page(tuple(await call.services.push.test(user_id)))


async def create_invite(call: _Call) -> admin.RegistrationInvite:
    """Make an invite to register."""
    wanted: admin.CreateRegistrationInvite = call.body
    token = await call.services.accounts.invite(wanted.expires_at, wanted.max_uses)
    return admin.RegistrationInvite(token, wanted.expires_at, wanted.max_uses)


async def drain(call: _Call) -> http.Health:
    """Begin to drain."""
    call.services.drain()
    return http.Health("draining")


async def get_stats(call: _Call) -> Mapping[str, int | float | str]:
    """Return the server's figures."""
    return call.services.stats()


async def set_log_level(call: _Call) -> admin.LogLevel:
    """Change how much is logged, until the server stops."""
    wanted: admin.LogLevel = call.body
    call.services.set_log_level(wanted.level)
    return wanted


async def make_backup(call: _Call) -> admin.BackupProgress:
    """Begin a backup."""
    wanted: admin.MakeBackup = call.body
    call.services.start_backup(wanted.file, wanted.replace)
    return call.services.backup_progress()


async def get_backup(call: _Call) -> admin.BackupProgress:
    """Return how far the last backup is."""
    return call.services.backup_progress()


async def get_ready(call: _Call) -> http.Health:
    """Say whether clients should come here."""
    await call.services.ready()
    return http.Health("ok")


async def get_metrics(call: _Call) -> Response:
    """Return the counters."""
    return Response(call.services.metrics(), media_type=METRICS_TYPE)


def _seen(account: Account) -> admin.AdminUser:
    return admin.AdminUser(
        account.user_id,
        account.display_name,
        account.created_at,
        account.last_seen,
        account.disabled,
        account.deleted,
        account.admin,
        account.is_bot,
        account.owner_id,
    )


def _route(method: str, path: str, endpoint: Callable[[_Call], Awaitable[object]], summary: str) -> Route:
    return Route(method=method, path=path, endpoint=endpoint, summary=summary, tag="admin", auth=Auth.OPERATOR)


def _with(route: Route, **changes: object) -> Route:
    return msgspec.structs.replace(route, **changes)


_USERS = "/v1/admin/users"
_ONE = f"{_USERS}/{{userId}}"
_GONE = (ErrorCode.NOT_FOUND,)

ADMIN_ROUTES: tuple[Route, ...] = (
    _with(
        _route("GET", _USERS, list_users, "List accounts by userId, also those that have ended."),
        query=PageQuery,
        response=http.Page[admin.AdminUser],
    ),
    _with(
        _route("POST", _USERS, create_user, "Open an account, whatever registration says."),
        status=201,
        request=admin.CreateUser,
        response=admin.NewPassword,
        errors=(ErrorCode.CONFLICT,),
    ),
    _with(
        _route("POST", f"{_USERS}/bulk", enrol_users, "Open accounts without a password, each with a device."),
        status=201,
        request=admin.EnrolUsers,
        response=admin.EnrolledUsers,
        errors=(ErrorCode.CONFLICT,),
    ),
    _with(
        _route("POST", f"{_ONE}/disable", disable_user, "Log an account out and keep it out."),
        response=admin.AdminUser,
        errors=_GONE,
    ),
    _with(
        _route("POST", f"{_ONE}/enable", enable_user, "Let a disabled account in again."),
        response=admin.AdminUser,
        errors=_GONE,
    ),
    _with(_route("DELETE", _ONE, delete_user, "End an account with all its data."), status=204, errors=_GONE),
    _with(
        _route("PUT", f"{_ONE}/password", reset_password, "Give an account another password."),
        request=admin.SetPassword,
        response=admin.NewPassword,
        errors=_GONE,
    ),
    _with(
        _route("POST", f"{_ONE}/push-test", test_push, "Send a test notification to every device of an account."),
        response=http.Page[push.PushTested],
        errors=_GONE,
    ),
    *admin_bots.ROUTES,
    _with(
        _route("POST", "/v1/admin/invites", create_invite, "Make an invite to register."),
        status=201,
        request=admin.CreateRegistrationInvite,
        response=admin.RegistrationInvite,
    ),
    _with(
        _route("POST", "/v1/admin/drain", drain, "Send the clients away and stop."),
        status=202,
        response=http.Health,
    ),
    _with(_route("GET", "/v1/admin/stats", get_stats, "The server's figures."), response=dict),
    _with(
        _route("PUT", "/v1/admin/log-level", set_log_level, "Change how much is logged, until the server stops."),
        request=admin.LogLevel,
        response=admin.LogLevel,
    ),
    _with(
        _route("POST", "/v1/admin/backup", make_backup, "Begin a backup to a file."),
        status=202,
        request=admin.MakeBackup,
        response=admin.BackupProgress,
        errors=(ErrorCode.CONFLICT,),
    ),
    _with(
        _route("GET", "/v1/admin/backup", get_backup, "How far the last backup is."),
        response=admin.BackupProgress,
    ),
    _with(_route("GET", "/readyz", get_ready, "Whether clients should come here."), response=http.Health),
    _with(
        _route("GET", "/metrics", get_metrics, "Counters in Prometheus' text format."),
        response=str,
        media_type=METRICS_TYPE,
    ),
)
