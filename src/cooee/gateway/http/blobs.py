"""``/v1/blobs/{key}``: the folder of media by HTTP, for whoever has a signed address (PROTOCOL.md §11).

Nothing but the signature is looked at: no token, no session. Bodies go to and from the disk piece by piece, so one of
any size costs a megabyte or so.
"""

import contextlib
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.gateway.http.errors import error_response
from cooee.gateway.http.ranges import Span, Unsatisfiable, asked_range, sent_range
from cooee.ports.blob_files import BlobFiles, Grant, OpenBlob
from cooee.ports.clock import Clock
from cooee.protocol.disposition import content_disposition

PREFIX = "/v1/blobs/"
_PIECE = 256 * 1024
_METHODS = "GET, HEAD, PUT"
_SAFE = {
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "cross-origin",
    "accept-ranges": "bytes",
}


class BlobRoutes:
    """An ASGI application that answers below `PREFIX` and leaves the rest to ``app``."""

    def __init__(self, app: ASGIApp, files: BlobFiles, clock: Clock) -> None:
        self._app = app
        self._files = files
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            response = await self._answer(scope, receive)
        except CooeeError as refusal:
            response = error_response(refusal)
        except _Gone:
            response = Response(status_code=400)  # nobody hears it
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        key, method = scope["path"][len(PREFIX) :], scope["method"]
        if method not in {"GET", "HEAD", "PUT"}:
            refused = error_response(bad_frame("this path does not have this method"), 405)
            refused.headers["allow"] = _METHODS
            return refused
        grant = self._files.check(method, key, _query(scope["query_string"]))
        headers = Headers(scope=scope)
        if method == "PUT":
            return await self._put(grant, headers, receive)
        return await self._get(grant, headers, with_body=method == "GET")

    # --- uploads ------------------------------------------------------------------------------------------------------

    async def _put(self, grant: Grant, headers: Headers, receive: Receive) -> Response:
        piece = _piece_of(grant, headers)
        there = await self._files.received(grant)
        if piece is None:
            whole = there is None or (grant.part and there == grant.size)
            return Response(status_code=201) if whole else _continue(there or 0)
        if there is None:
            return error_response(CooeeError(ErrorCode.CONFLICT, "this object is there already"), 412)
        if piece.start and piece.start != there:
            refused = error_response(CooeeError(ErrorCode.CONFLICT, f"{there} bytes are there; go on behind them"))
            refused.headers.update(_there(there))
            return refused
        async with self._files.receive(grant, piece.start) as receiving:
            async for data in _body(receive):
                await receiving.write(data)
            whole = await receiving.finish()
        return Response(status_code=201) if whole else _continue(piece.end)

    # --- downloads ----------------------------------------------------------------------------------------------------

    async def _get(self, grant: Grant, headers: Headers, *, with_body: bool) -> Response:
        blob = await self._files.open(grant)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(blob.aclose)
            plan = _planned(blob, headers)
            told = {**_SAFE, **self._caching(grant), "etag": blob.etag}
            told["content-disposition"] = content_disposition(grant.filename, inline=grant.inline)
            if plan.status == 416:
                refused = error_response(bad_frame("this range lies behind the end"), 416)
                refused.headers["content-range"] = f"bytes */{blob.size}"
                return refused
            if plan.status == 304:
                return Response(status_code=304, headers=told)
            if plan.status == 206:
                told["content-range"] = f"bytes {plan.span.start}-{plan.span.end - 1}/{blob.size}"
            told["content-type"] = grant.content_type
            told["content-length"] = str(plan.span.end - plan.span.start)
            if not with_body:
                return Response(status_code=plan.status, headers=told)
            stack.pop_all()
            return _Streamed(blob, plan, told)

    def _caching(self, grant: Grant) -> dict[str, str]:
        left = max(0, (grant.expires_at - self._clock.wall_ms()) // 1000)
        return {
            "cache-control": f"public, max-age={left}, immutable",
            "expires": formatdate(grant.expires_at / 1000, usegmt=True),
        }


class _Plan(NamedTuple):
    status: int
    span: Span


class _Gone(Exception):
    """The client left before its body was whole."""


class _Streamed(StreamingResponse):
    """Sends a span of an object, and closes it however it ends. Keeps the type as it is, without a charset."""

    def __init__(self, blob: OpenBlob, plan: _Plan, headers: dict[str, str]) -> None:
        super().__init__(_pieces(blob, plan.span), plan.status, headers)
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._blob.aclose()


async def _pieces(blob: OpenBlob, span: Span) -> AsyncIterator[bytes]:
    at = span.start
    while at < span.end:
        data = await blob.read(at, min(_PIECE, span.end - at))
        if not data:
            raise ConnectionAbortedError("an object is shorter than it was")
        yield data
        at += len(data)


def _query(text: bytes) -> dict[str, str]:
    """Return the parameters; one that comes twice was not signed so, and neither were many."""
    try:
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=16))
    except ValueError:
        return {}


def _planned(blob: OpenBlob, headers: Headers) -> _Plan:
    whole = Span(0, blob.size)
    tags = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    if blob.etag in tags or tags == ["*"]:
        return _Plan(304, whole)
    if_range = headers.get("if-range")
    if "range" not in headers or (if_range is not None and if_range != blob.etag):
        return _Plan(200, whole)
    try:
        span = asked_range(headers["range"], blob.size)
    except Unsatisfiable:
        return _Plan(416, whole)
    return _Plan(200, whole) if span is None else _Plan(206, span)


def _piece_of(grant: Grant, headers: Headers) -> Span | None:
    """Return which bytes the body is, None when it only asks how many are there. Raises CooeeError."""
    length = headers.get("content-length", "")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise bad_frame("an upload needs a Content-Length")
    if "content-encoding" in headers:
        raise bad_frame("an upload is not compressed")
    size, sent = int(length), headers.get("content-range")
    piece = None if sent is None else sent_range(sent)
    if sent is not None and (piece is None or piece.total != grant.size or (grant.part and piece.span is not None)):
        raise bad_frame("this Content-Range does not go with the upload")
    if piece is not None and piece.span is None and not size:
        return None
    if headers.get("content-type", "") != grant.content_type:
        raise CooeeError(ErrorCode.FORBIDDEN, "this address was signed for another Content-Type")
    span = Span(0, grant.size) if piece is None or piece.span is None else piece.span
    if size > span.end - span.start:
        raise CooeeError(ErrorCode.TOO_LARGE, "the body is larger than was declared")
    if size != span.end - span.start:
        raise bad_frame("the body has another length than was declared")
    return span


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _continue(there: int) -> Response:
    """Return 308 as resumable uploads elsewhere do: not whole yet, with the ``Range`` of what is there."""
    return Response(status_code=308, headers=_there(there))


def _there(size: int) -> dict[str, str]:
    return {"range": f"bytes=0-{size - 1}"} if size else {}
