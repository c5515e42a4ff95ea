"""The HTTP API as one ASGI application, made from the route table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as FrameworkRoute
from starlette.types import ASGIApp

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.gateway.http.endpoint import Authenticate, Handle, handle
from cooee.gateway.http.errors import error_response
from cooee.gateway.http.route import Route
from cooee.gateway.http.services import HttpServices
from cooee.gateway.http.shell import Shell
from cooee.gateway.http.table import ROUTES
from cooee.gateway.origins import Origins
from cooee.ports.devices import Device


class HttpSettings(msgspec.Struct, frozen=True):
    """Whose pages may use the API, and how large a request's body may be (bytes)."""

    public_url: str = ""
    allowed_origins: tuple[str, ...] = ()
    body_bytes: int = 1024 * 1024


Around = Callable[[ASGIApp], ASGIApp]
"""Puts something between the origin check and the route table, such as `BlobRoutes`."""


def http_app(services: HttpServices, settings: HttpSettings, around: Around | None = None) -> ASGIApp:
    """Return the public API (PROTOCOL.md §8, §11, §12)."""

    async def authenticate(token: str) -> Device:
        device = await services.devices.authenticate(token)
        services.budgets.spend("frames", f"{device.user_id} {device.device_id} http")
        return device

    return app_of(ROUTES, services, authenticate, settings, around)


def app_of(
    routes: Sequence[Route],
    services: Any,
    authenticate: Authenticate,
    settings: HttpSettings,
    around: Around | None = None,
) -> ASGIApp:
    """Return an application that offers ``routes`` over ``services``."""
    by_path: dict[str, dict[str, Handle]] = {}
    for route in routes:
        methods = by_path.setdefault(route.path, {})
        methods[route.method] = handle(route, services, authenticate, settings.body_bytes)
    table = [FrameworkRoute(path, _by_method(methods), methods=list(methods)) for path, methods in by_path.items()]
    app = Starlette(routes=table, exception_handlers={HTTPException: _refuse})
    app.router.redirect_slashes = False
    return Shell(around(app) if around else app, Origins(settings.public_url, settings.allowed_origins))


def _by_method(methods: Mapping[str, Handle]) -> Handle:
    async def serve(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return serve


async def _refuse(_: Request, problem: Exception) -> Response:
    """Answer what the framework refuses by itself: an unknown path, a method that a path does not have."""
    status = problem.status_code if isinstance(problem, HTTPException) else 400
    if status == 404:
        return error_response(not_found("the page"))
    if status == 405:
        response = error_response(CooeeError(ErrorCode.BAD_FRAME, "this path does not have this method"), status)
        response.headers.update(getattr(problem, "headers", None) or {})
        return response
    return error_response(bad_frame("the request cannot be understood"), status)
