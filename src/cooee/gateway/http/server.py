"""Routes of the server itself: long polling, health, metrics, and the page at ``/`` (PROTOCOL.md §11, §12)."""

from email.utils import formatdate

from starlette.responses import Response

from cooee.domain.errors import ErrorCode
from cooee.domain.scopes import Scope
from cooee.gateway.http.landing import landing_page, server_info
from cooee.gateway.http.route import Auth, Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import http
from cooee.protocol.codec import encode
from cooee.protocol.poll import PollRequest, PollResponse

_Call = Call[HttpServices]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_ITSELF = "'unsafe-inline'"


async def poll(call: _Call) -> PollResponse:
    """Carry frames by long polling."""
    return await call.services.poll(call.body, call.token, call.address)


async def get_healthz(_: _Call) -> Response:
    """Say that the process answers, and what its clock shows (``Date``, RFC 9110 §5.6.7), for clients to compare."""
    return Response(encode(http.Health("ok")), headers={"date": formatdate(usegmt=True)}, media_type="application/json")


async def get_readyz(call: _Call) -> http.Health:
    """Say whether clients should come here."""
    await call.services.ready()
    return http.Health("ok")


async def get_metrics(call: _Call) -> Response:
    """Return the counters."""
    return Response(call.services.metrics(), media_type=METRICS_TYPE)


async def get_landing(call: _Call) -> Response:
    """Say what this is: a page for people, JSON for programs."""
    if "text/html" in call.accept:
        policy = f"default-src 'none'; style-src {_OF_ITSELF}; frame-ancestors 'none'"
        return Response(landing_page(), headers={"content-security-policy": policy}, media_type="text/html")
    return Response(encode(server_info()), media_type="application/json")


ROUTES = (
    Route(
        method="POST",
        path="/v1/poll",
        endpoint=poll,
        summary="Carry frames without a WebSocket, with the same guarantees. ?session= may repeat the session for a "
        "balancer.",
        tag="server",
        needs=Scope.MESSAGES_READ,
        request=PollRequest,
        response=PollResponse,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    Route(
        method="GET",
        path="/healthz",
        endpoint=get_healthz,
        summary="Whether the process answers.",
        tag="server",
        auth=Auth.NOBODY,
        response=http.Health,
    ),
    Route(
        method="GET",
        path="/readyz",
        endpoint=get_readyz,
        summary="Whether clients should come here: the store takes records, and the server is not draining.",
        tag="server",
        auth=Auth.NOBODY,
        response=http.Health,
    ),
    Route(
        method="GET",
        path="/metrics",
        endpoint=get_metrics,
        summary="Counters in Prometheus' text format, for this machine only.",
        tag="server",
        auth=Auth.LOOPBACK,
        response=str,
        media_type=METRICS_TYPE,
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path="/",
        endpoint=get_landing,
        summary="What this server is, and how to use it; a page for browsers.",
        tag="server",
        auth=Auth.NOBODY,
        response=http.ServerInfo,
    ),
)
