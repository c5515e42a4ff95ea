"""From a route to something that the framework can call: prove, bound, parse, run, encode."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cooee.domain.errors import CooeeError, not_found
from cooee.domain.scopes import check_scope
from cooee.gateway.encryption import PROXY_HEADERS, is_this_machine
from cooee.gateway.http.errors import error_response, internal
from cooee.gateway.http.parsing import (
    Disconnected,
    bearer_token,
    check_content_type,
    decode_body,
    decode_query,
    read_body,
)
from cooee.gateway.http.route import Answer, Auth, Call, RawBody, Route
from cooee.gateway.http.shell import log_bug
from cooee.ports.devices import Device
from cooee.protocol.codec import encode

Handle = Callable[[Request], Awaitable[Response]]
Authenticate = Callable[[str], Awaitable[Device]]


def handle(route: Route, services: Any, authenticate: Authenticate, body_limit: int) -> Handle:
    """Return the function that serves ``route``. It answers whatever happens; a bug is logged without content."""
    decoder = None if route.request is None or route.raw else msgspec.json.Decoder(route.request)
    if route.body_limit:
        body_limit = min(body_limit, getattr(services.budgets.limits, route.body_limit))

    async def serve(request: Request) -> Response:
        try:
            token, device = await _prove(route, request, authenticate)
            body: Any = None
            if route.raw:
                body = RawBody(await read_body(request, body_limit), request.headers)
            elif decoder is not None:
                check_content_type(request)
                body = decode_body(await read_body(request, body_limit), decoder)
            query = decode_query(request.scope["query_string"], route.query) if route.query else None
            call = Call(
                services,
                body,
                query,
                request.path_params,
                _address(request),
                request.headers.get("accept", ""),
                token,
                device,
            )
            return _answer(route, await route.endpoint(call))
        except CooeeError as refusal:
            return error_response(refusal)
        except Disconnected:
            return Response(status_code=400)  # nobody hears it
        except Exception as problem:  # noqa: BLE001  # one request's bug is not the connection's
            log_bug(problem, f"{route.method} {route.path}")
            return error_response(internal())

    return serve


async def _prove(route: Route, request: Request, authenticate: Authenticate) -> tuple[str, Device | None]:
    if route.auth is Auth.LOOPBACK and not _from_this_machine(request):
        raise not_found("the page")
    if route.auth is not Auth.DEVICE:
        return "", None
    token = bearer_token(request)
    device = await authenticate(token)
    for needed in (route.needs, *route.needs_too):
        check_scope(device.scopes, needed)
    return token, device


def _answer(route: Route, result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Answer):
        return Response(encode(result.body), result.status, media_type=route.media_type)
    if result is None:
        return Response(status_code=204)
    return Response(encode(result), route.status, media_type=route.media_type)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _from_this_machine(request: Request) -> bool:
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    return is_this_machine(_address(request))
