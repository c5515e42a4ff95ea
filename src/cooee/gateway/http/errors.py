"""Refusals as HTTP answers: one shape for all of them (PROTOCOL.md §11)."""

from math import ceil

from starlette.responses import Response

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.protocol.codec import encode
from cooee.protocol.http import ErrorBody, ErrorObject

_FIELDS = frozenset(ErrorObject.__struct_fields__)


def internal() -> CooeeError:
    """Build the answer to a bug of ours; what happened stands in the log only."""
    return CooeeError(ErrorCode.INTERNAL, "something went wrong on the server; try again")


def error_body(error: CooeeError) -> bytes:
    """Return the JSON that tells of a refusal."""
    extra = {name: value for name, value in error.extra.items() if name in _FIELDS}
    told = ErrorObject(error.code.value, error.message, error.retryable, error.retry_after_ms, **extra)
    return encode(ErrorBody(told))


def error_response(error: CooeeError, status: int | None = None) -> Response:
    """Return the answer that tells of a refusal, with ``Retry-After`` and ``WWW-Authenticate`` where they belong."""
    headers = {}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after_ms / 1000)))
    if error.code is ErrorCode.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(error_body(error), status or error.http_status, headers, "application/json")
