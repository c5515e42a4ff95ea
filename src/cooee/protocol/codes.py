"""WebSocket close codes (PROTOCOL.md §10). They say whether to come back: codes are API."""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why a connection was closed by the server."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    INVALID_PAYLOAD = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    BAD_PROTOCOL = 4000
    HELLO_TIMEOUT = 4001
    UNAUTHORIZED = 4003
    SLOW_CONSUMER = 4008
    REPLACED = 4009


NO_RECONNECT = frozenset({CloseCode.UNAUTHORIZED, CloseCode.REPLACED})
"""A client that is closed with one of these stays away until its user acts."""
