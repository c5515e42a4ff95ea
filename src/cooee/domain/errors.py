"""Every refusal the project knows, as one closed list (PROTOCOL.md §10).

A code is API: clients decide by it whether to try again. A new one is added here, and documented, or not at all.
"""

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """The closed list. The value is what stands on the wire."""

    BAD_FRAME = "bad_frame"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    HTTPS_REQUIRED = "https_required"
    NOT_A_MEMBER = "not_a_member"
    BLOCKED = "blocked"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    MISMATCHED_DEVICES = "mismatched_devices"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.BAD_FRAME: 400,
    ErrorCode.UNKNOWN_TYPE: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.HTTPS_REQUIRED: 403,
    ErrorCode.NOT_A_MEMBER: 403,
    ErrorCode.BLOCKED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.MISMATCHED_DEVICES: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
}

RETRYABLE: frozenset[ErrorCode] = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE})


class CooeeError(Exception):
    """A refusal that may be told to the client as it stands.

    ``message`` is for people and says what to do next; it never holds a secret or somebody's content.
    ``extra`` holds further fields of the error object, named as on the wire.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after_ms: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.extra = extra or {}

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, unchanged."""
        return self.code in RETRYABLE

    @property
    def http_status(self) -> int:
        """The HTTP status that goes with the code."""
        return HTTP_STATUS[self.code]


def bad_frame(message: str) -> CooeeError:
    """Build the error for input that breaks the contract."""
    return CooeeError(ErrorCode.BAD_FRAME, message)


def not_found(what: str) -> CooeeError:
    """Build the error for something that is not there, or not there for this user."""
    return CooeeError(ErrorCode.NOT_FOUND, f"{what} was not found")


def not_a_member() -> CooeeError:
    """Build the error for a conversation that the user does not take part in."""
    return CooeeError(ErrorCode.NOT_A_MEMBER, "you are not a member of this conversation")


def unavailable(message: str, retry_after_ms: int = 1000) -> CooeeError:
    """Build the error for a store that takes nothing now; a retry is safe."""
    return CooeeError(ErrorCode.UNAVAILABLE, message, retry_after_ms=retry_after_ms)


def rate_limited(retry_after_ms: int, message: str = "too many requests; wait and try again") -> CooeeError:
    """Build the error for a spent budget."""
    return CooeeError(ErrorCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms)
