"""Routes of accounts, sessions and devices (PROTOCOL.md §11)."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from cooee.domain.errors import ErrorCode
from cooee.domain.scopes import Scope, granted
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Auth, Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import http
from cooee.services.devices import Login, as_device

_Call = Call[HttpServices]


async def register(call: _Call) -> http.Registered:
    """Open an account."""
    wanted: http.Register = call.body
    account = await call.services.accounts.register(
        call.address, wanted.user_id, wanted.password, wanted.display_name, wanted.invite
    )
    return http.Registered(account.user_id, account.display_name)


async def log_in(call: _Call) -> http.LoggedIn:
    """Make a device, or come back as one."""
    given: http.LogIn = call.body
    device = given.device
    token, made = await call.services.devices.log_in(
        Login(call.address, given.user_id, given.password, device.name, device.type, device.id)
    )
    return http.LoggedIn(token, made.user_id, made.device_id)


async def get_session(call: _Call) -> http.CurrentSession:
    """Say what the token is that asks."""
    device = call.session
    return http.CurrentSession(
        device.user_id, device.device_id, device.name, device.is_bots, granted(device.scopes), device.expires_at
    )


async def log_out(call: _Call) -> None:
    """End the token of the device that asks."""
    await call.services.devices.log_out(call.caller)


async def list_devices(call: _Call) -> http.Page[http.Device]:
    """List the own devices, oldest first."""
    query: PageQuery = call.query
    after = from_cursor(query.cursor, str.isascii)
    found = [as_device(device, call.caller) for device in await call.services.devices.of_user(call.caller.user_id)]
    found.sort(key=_age)
    rest = [device for device in found if _age(device) > after]
    return page_of(rest, query.size, _age)


def _age(device: http.Device) -> str:
    return f"{device.created_at:016d} {device.device_id}"


async def revoke_device(call: _Call) -> None:
    """End an own device for good."""
    await call.services.devices.revoke(call.caller, call.path["deviceId"])


async def change_password(call: _Call) -> None:
    """Change the own password."""
    wanted: http.ChangePassword = call.body
    await call.services.accounts.change_password(call.caller, wanted.current_password, wanted.new_password)


async def delete_account(call: _Call) -> None:
    """End the own account."""
    await call.services.accounts.delete(call.caller.user_id)


async def export_account(call: _Call) -> StreamingResponse:
    """Stream what the server holds of the user."""
    pieces = call.services.export.stream(call.caller)
    first = await anext(pieces)  # what refuses, refuses before the answer begins

    async def document() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    headers = {"content-disposition": 'attachment; filename="cooee-export.json"'}
    return StreamingResponse(document(), 200, headers, "application/json")


async def new_recovery_codes(call: _Call) -> http.RecoveryCodes:
    """Make new recovery codes."""
    return http.RecoveryCodes(await call.services.accounts.new_recovery_codes(call.caller.user_id))


async def recover(call: _Call) -> None:
    """Set a new password by a recovery code."""
    wanted: http.Recover = call.body
    await call.services.accounts.recover(call.address, wanted.user_id, wanted.code, wanted.new_password)


_LOG_INS = "log_ins_per_account_and_address"

ROUTES = (
    Route(
        method="POST",
        path="/v1/accounts",
        endpoint=register,
        summary="Open an account.",
        tag="accounts",
        auth=Auth.NOBODY,
        status=201,
        request=http.Register,
        response=http.Registered,
        limit="registrations_per_address",
        errors=(ErrorCode.CONFLICT,),
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        endpoint=log_in,
        summary="Log in: make a device, or come back as one that was logged out.",
        tag="accounts",
        auth=Auth.NOBODY,
        status=201,
        request=http.LogIn,
        response=http.LoggedIn,
        limit=_LOG_INS,
        errors=(ErrorCode.UNAUTHORIZED, ErrorCode.NOT_FOUND),
    ),
    Route(
        method="GET",
        path="/v1/sessions/current",
        endpoint=get_session,
        summary="Whose token this is, and what it is good for.",
        tag="accounts",
        needs=Scope.ANY,
        response=http.CurrentSession,
    ),
    Route(
        method="DELETE",
        path="/v1/sessions/current",
        endpoint=log_out,
        summary="Log out this device; its keys and queues stay.",
        tag="accounts",
        needs=Scope.ANY,
        status=204,
    ),
    Route(
        method="GET",
        path="/v1/devices",
        endpoint=list_devices,
        summary="List the own devices, oldest first.",
        tag="accounts",
        needs=Scope.PERSON,
        query=PageQuery,
        response=http.Page[http.Device],
    ),
    Route(
        method="DELETE",
        path="/v1/devices/{deviceId}",
        endpoint=revoke_device,
        summary="Revoke an own device; its sockets close with 4003.",
        tag="accounts",
        needs=Scope.PERSON,
        status=204,
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="PUT",
        path="/v1/me/password",
        endpoint=change_password,
        summary="Change the own password; other devices are logged out.",
        tag="accounts",
        needs=Scope.PERSON,
        status=204,
        request=http.ChangePassword,
        limit=_LOG_INS,
        errors=(ErrorCode.CONFLICT,),
    ),
    Route(
        method="DELETE",
        path="/v1/me",
        endpoint=delete_account,
        summary="Delete the own account with all its data; its name is never given again.",
        tag="accounts",
        needs=Scope.PERSON,
        status=204,
    ),
    Route(
        method="GET",
        path="/v1/me/export",
        endpoint=export_account,
        summary="Download what the server holds of the user, as one JSON document.",
        tag="accounts",
        needs=Scope.PERSON,
        response=dict,
    ),
    Route(
        method="POST",
        path="/v1/me/recovery-codes",
        endpoint=new_recovery_codes,
        summary="Make ten recovery codes, shown once; former ones are void.",
        tag="accounts",
        needs=Scope.PERSON,
        status=201,
        response=http.RecoveryCodes,
        limit=_LOG_INS,
    ),
    Route(
        method="POST",
        path="/v1/recover",
        endpoint=recover,
        summary="Set a new password by a recovery code; all devices are logged out.",
        tag="accounts",
        auth=Auth.NOBODY,
        status=204,
        request=http.Recover,
        limit=_LOG_INS,
        errors=(ErrorCode.UNAUTHORIZED,),
    ),
)
