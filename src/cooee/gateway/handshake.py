"""The opening handshake of a WebSocket (RFC 6455 §4.2), and how what is no request is answered."""

from http import HTTPStatus
from math import ceil
from typing import Any

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.gateway.http.errors import error_body
from cooee.gateway.origins import Origins
from cooee.protocol.request_head import RequestHead
from cooee.protocol.websocket import accept_key, is_valid_key

WEBSOCKET_PATH = "/v1/ws"


def wants_websocket(head: RequestHead) -> bool:
    """Tell whether a request is for us and not for the HTTP application, whatever is wrong with it."""
    return head.path == WEBSOCKET_PATH and head.has_token("upgrade", "websocket")


def refusal_of(head: RequestHead, origins: Origins) -> tuple[int, CooeeError] | None:
    """Return the status and error of a handshake that is not taken, or None."""
    headers = head.headers
    if head.method != "GET" or head.version != "1.1" or not head.has_token("connection", "upgrade"):
        return 400, bad_frame("this is not a WebSocket handshake")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return 400, bad_frame("a WebSocket handshake has no body")
    if headers.get("sec-websocket-version") != "13":
        return 426, bad_frame("the WebSocket version must be 13")
    if not is_valid_key(headers.get("sec-websocket-key", "")):
        return 400, bad_frame("Sec-WebSocket-Key must be 16 bytes in base64")
    origin = headers.get("origin")
    if origin is not None and not origins.allows(origin, headers.get("host", "")):
        return 403, CooeeError(ErrorCode.FORBIDDEN, "pages of this origin may not use this server (allowed_origins)")
    return None


def acceptance(head: RequestHead) -> bytes:
    """Return the answer to a handshake that `refusal_of` lets pass. No extension, no subprotocol."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept_key(head.headers["sec-websocket-key"]).encode()
        + b"\r\n\r\n"
    )


def refusal(status: int, error: CooeeError) -> bytes:
    """Return a whole HTTP answer that refuses and says that the connection ends."""
    body = error_body(error)
    more = "Sec-WebSocket-Version: 13\r\n" if status == HTTPStatus.UPGRADE_REQUIRED else ""
    if error.retry_after_ms is not None:
        more += f"Retry-After: {max(1, ceil(error.retry_after_ms / 1000))}\r\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def peer_of(transport: Any) -> str:
    """Return the address at the other end of the TCP connection."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else "unix"
