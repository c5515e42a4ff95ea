"""Routes of the documents that describe the API; each is made once, when it is first asked for."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from starlette.responses import Response

from cooee.gateway.http.asyncapi import asyncapi
from cooee.gateway.http.openapi import openapi
from cooee.gateway.http.route import Auth, Call, Route
from cooee.protocol.codec import encode


def document_routes(table: Callable[[], Sequence[Route]]) -> tuple[Route, ...]:
    """Return the routes that describe ``table``, which may hold them too."""
    return (
        _route("/v1/openapi.json", "getOpenapi", "This description of the HTTP API.", lambda: openapi(table())),
        _route("/v1/asyncapi.json", "getAsyncapi", "The description of the socket.", asyncapi),
    )


def _route(path: str, name: str, summary: str, make: Callable[[], dict[str, Any]]) -> Route:
    @cache
    def document() -> bytes:
        return encode(make())

    async def serve(_: Call[Any]) -> Response:
        return Response(document(), media_type="application/json")

    return Route(
        method="GET",
        path=path,
        endpoint=serve,
        name=name,
        summary=summary,
        tag="server",
        auth=Auth.NOBODY,
        response=dict,
    )
