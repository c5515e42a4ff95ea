"""From a request to checked values: the body, the query, the bearer token. Strict, and bounded before it is read."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame

MAX_QUERY = 4096
MAX_PARAMETERS = 32
_QUOTE = 300


class Disconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


async def read_body(request: Request, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        CooeeError: ``too_large`` beyond ``limit`` bytes, before more of it is read.
        Disconnected: the client is gone.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 16 or int(announced) > limit):
        raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


def check_content_type(request: Request) -> None:
    """Refuse a body that says it is something else than plain JSON in UTF-8; one that says nothing is believed.

    Raises:
        CooeeError: ``bad_frame``.
    """
    if media_type(request.headers) != "application/json":
        raise bad_frame("the body must be JSON, with Content-Type: application/json")


def media_type(headers: Mapping[str, str]) -> str:
    """Return the type of a body, in lower case; one that says nothing is taken for JSON.

    Raises:
        CooeeError: ``bad_frame`` for one that is not in UTF-8, or compressed.
    """
    kind, _, parameters = headers.get("content-type", "application/json").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset != "charset=utf-8":
        raise bad_frame("the body must be in UTF-8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_frame("the body must not be compressed")
    return kind.strip().lower()


def decode_body(payload: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Parse a body into the route's struct. Unknown fields are ignored; of a repeated field the last one counts.

    Raises:
        CooeeError: ``bad_frame`` naming the field.
    """
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as problem:
        raise bad_frame(str(problem)[:_QUOTE]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise bad_frame("the body is not one JSON value in UTF-8") from None


def decode_query(query: bytes, struct: type[msgspec.Struct]) -> Any:
    """Parse a query string into the route's struct. Unknown parameters are ignored.

    Raises:
        CooeeError: ``bad_frame``, also for a parameter that stands twice.
    """
    if len(query) > MAX_QUERY:
        raise bad_frame("the query is too long")
    known = _names(struct)
    values: dict[str, str] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except ValueError:
        raise bad_frame("the query is malformed") from None
    for name, value in pairs:
        if name in values:
            raise bad_frame(f"the query has {name[:32]!r} twice")
        if name in known:
            values[name] = value
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as problem:
        raise bad_frame(f"the query: {problem}"[:_QUOTE]) from None


@cache
def _names(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))


def bearer_token(request: Request) -> str:
    """Return the token of ``Authorization: Bearer``; there is no other way to give it.

    Raises:
        CooeeError: ``unauthorized`` when it is not there, or is there twice.
    """
    given = request.headers.getlist("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise CooeeError(ErrorCode.UNAUTHORIZED, "log in and send the token as Authorization: Bearer")
    return token


def _too_large(limit: int) -> CooeeError:
    return CooeeError(ErrorCode.TOO_LARGE, f"the body of a request has at most {limit} bytes")
