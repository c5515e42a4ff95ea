"""The beginning of a session, from its hello to its welcome, and its end in all registries."""

import asyncio
import logging
import secrets
from itertools import islice
from sys import intern
from typing import TYPE_CHECKING

from cooee.domain.errors import CooeeError, ErrorCode, unavailable
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import Scope, check_scope
from cooee.gateway import pump
from cooee.gateway.shared import Shared
from cooee.ports.devices import Device
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.protocol.codes import CloseCode
from cooee.protocol.frames import Hello

if TYPE_CHECKING:
    from cooee.gateway.session import Session

_REPLACED = "replaced by another connection of this device"
ENDINGS = 32
"""Ended sessions that leave the registries at the same time."""

_log = logging.getLogger(__name__)


async def open_session(session: "Session", hello: Hello) -> None:
    """Serve the hello: who is it, replace his former connection, welcome, and let him catch up.

    A session that ends meanwhile is left as if it had never been. Presence and the registry of all gateways are soft:
    their failure is logged and delays nobody.
    """
    try:
        device = await _authenticate(session, hello)
        if device is None or session.is_closed:
            return
        session.device = device.ref
        session.scopes = device.scopes
        session.connection_id = secrets.token_urlsafe(9)
        session.sync_token = hello.sync_token
        await _enter(session, device, hello)
        if session.is_closed:
            return
        if not await _is_still_valid(session, hello):
            return
        await pump.catch_up(session)
    except Exception:  # noqa: BLE001  # whatever a service raises, the client may come again
        _log.exception("a session could not be opened")
        session.shared.counters.internal_errors += 1
        session.close(CloseCode.INTERNAL, "the server failed")


def end_soon(shared: Shared, device: DeviceRef, connection_id: str) -> None:
    """Have `end_session` run. When thousands end at once, a few go at a time: the living must not wait for them."""
    shared.endings.append((device, connection_id))
    if len(shared.endings) == 1:
        shared.spawn(_end_all(shared))


async def _end_all(shared: Shared) -> None:
    endings = shared.endings
    while endings:
        await asyncio.sleep(0)  # whatever has come meanwhile is served first
        some = list(islice(endings, ENDINGS))
        await asyncio.gather(*(end_session(shared, *ended) for ended in some), return_exceptions=True)
        for _ in some:
            endings.popleft()


async def end_session(shared: Shared, device: DeviceRef, connection_id: str) -> None:
    """Take the connection out of the registry of all gateways and out of presence.

    Two connections of one device that open at the same time may stand in the registry in the wrong order; then the
    one that lives is entered again.
    """
    sessions = shared.services.sessions
    try:
        if await sessions.release(_entry(shared, device, connection_id)):
            living = shared.sessions.of_device(device)
            if living is not None:
                await sessions.register(_entry(shared, device, living.connection_id, living.device_type))
    except Exception:  # noqa: BLE001  # soft state
        _log.exception("a session could not be released")
    try:
        await shared.services.presence.disconnected(device, connection_id)
    except Exception:  # noqa: BLE001  # soft state
        _log.exception("presence could not be told of an end")


async def _authenticate(session: "Session", hello: Hello) -> Device | None:
    shared = session.shared
    if shared.draining:
        session.refuse(unavailable("this server is going away; connect again", 1000), hello.ref)
        session.close(CloseCode.GOING_AWAY, "draining")
        return None
    try:
        device = await shared.services.devices.authenticate(hello.token)
        check_scope(device.scopes, Scope.MESSAGES_READ)  # a session delivers messages
    except CooeeError as refusal:
        session.refuse(refusal, hello.ref)
        if refusal.code in (ErrorCode.UNAUTHORIZED, ErrorCode.FORBIDDEN):
            session.close(CloseCode.UNAUTHORIZED, "the token is not valid here")
        else:
            session.close(CloseCode.INTERNAL, "try again")
        return None
    return device


async def _enter(session: "Session", device: Device, hello: Hello) -> None:
    """Enter the session into all registries and say welcome; before the welcome nothing is sent."""
    shared = session.shared
    user_id, device_id = session.device
    session.device_type = intern(device.type)
    try:
        replaced = await shared.services.sessions.register(
            _entry(shared, session.device, session.connection_id, session.device_type)
        )
    except Exception:  # noqa: BLE001  # soft state
        _log.exception("a session could not be registered")
        replaced = None
    if session.is_closed:
        await end_session(shared, session.device, session.connection_id)
        return
    for former in shared.sessions.add(session):
        shared.counters.replaced += 1
        former.close(CloseCode.REPLACED, _REPLACED)
    session.say(shared.welcome(user_id, device_id, session.connection_id, hello.ref))
    session.go_live()
    if replaced is not None and replaced.server_id != shared.server_id:
        await _close_elsewhere(shared, replaced)
    try:
        await shared.services.presence.connected(session.device, session.connection_id)
    except Exception:  # noqa: BLE001  # soft state
        _log.exception("presence could not be told of a session")
    if session.is_closed:
        await end_session(shared, session.device, session.connection_id)


def _entry(shared: Shared, device: DeviceRef, connection_id: str, device_type: str = "") -> SessionEntry:
    return SessionEntry(*device, shared.server_id, connection_id, device_type, shared.clock.wall_ms())


async def _close_elsewhere(shared: Shared, replaced: SessionEntry) -> None:
    frame = f"{int(CloseCode.REPLACED)} {_REPLACED}".encode()
    close = Routed(
        RouteKind.CLOSE,
        (replaced.user_id,),
        frame,
        only_device=replaced.device_id,
        only_connection=replaced.connection_id,
    )
    try:
        await shared.services.router.publish(replaced.server_id, (close,))
    except Exception:  # noqa: BLE001  # the other gateway finds out by its own heartbeat
        _log.exception("a replaced session could not be closed on its server")


async def _is_still_valid(session: "Session", hello: Hello) -> bool:
    """Look at the token again: a revocation between the first look and the registry would have met nobody."""
    try:
        await session.shared.services.devices.authenticate(hello.token)
    except CooeeError as refusal:
        if refusal.code is ErrorCode.UNAUTHORIZED:
            session.refuse(refusal)
            session.close(CloseCode.UNAUTHORIZED, "the token is not valid any more")
            return False
    return True
