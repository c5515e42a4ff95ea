"""Around every HTTP request: whose page asks, what headers each answer carries, and no exception gets past."""

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.gateway.http.errors import error_response, internal
from cooee.gateway.origins import Origins

_log = structlog.get_logger(__name__)
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_CORS = {"access-control-expose-headers": "Retry-After, Range, Content-Range, ETag, Content-Disposition"}
_PREFLIGHT = {
    "access-control-allow-methods": _METHODS,
    "access-control-allow-headers": "authorization, content-type, content-range, range, if-range",
    "access-control-max-age": "600",
}


class Shell:
    """The outermost ASGI application. There are no cookies, so CORS never allows credentials."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._lifespan(receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        answer = _Answering(send, origin or "")
        if origin is not None and not self._origins.allows(origin, headers.get("host", "")):
            answer.origin = ""
            foreign = CooeeError(ErrorCode.FORBIDDEN, "pages of this origin may not use this server (allowed_origins)")
            await error_response(foreign)(scope, receive, answer)
        elif origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, answer)
        elif scope["path"].endswith("\n"):  # the framework's patterns would overlook it
            await error_response(not_found("the page"))(scope, receive, answer)
        else:
            await self._guarded(scope, receive, answer)

    async def _guarded(self, scope: Scope, receive: Receive, answer: "_Answering") -> None:
        try:
            await self._app(scope, receive, answer)
        except Exception as problem:  # noqa: BLE001  # the connection must get its answer, and the log must not quote it
            log_bug(problem, scope["method"])
            if answer.started:
                raise ConnectionAbortedError("the answer broke off") from None
            await error_response(internal())(scope, receive, answer)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Start and stop are the wiring's; a server that asks is told that all is well."""
        while (message := await receive())["type"].startswith("lifespan."):
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


class _Answering:
    """The way out: adds the headers to the answer's head, and knows whether it has been sent."""

    __slots__ = ("_send", "origin", "started")

    def __init__(self, send: Send, origin: str) -> None:
        self._send = send
        self.origin = origin
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
            headers.add_vary_header("Origin")
            if self.origin:
                headers["access-control-allow-origin"] = self.origin
                headers.update(_CORS)
        await self._send(message)


def log_bug(problem: BaseException, where: str) -> None:
    """Log an exception by its type and place; its text may quote what a user sent, and is left out."""
    frames = []
    trace = problem.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    _log.error("a request failed", where=where, problem=type(problem).__name__, trace=frames[-6:])
