"""The first request head on a connection: parsed just far enough to decide who serves it (RFC 9112 §2–§5)."""

import re
from typing import NamedTuple

MAX_HEAD = 16 * 1024
MAX_HEADERS = 100
END = b"\r\n\r\n"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) ([\x21-\x7e]{1,8000}) HTTP/1\.([01])", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class BadHead(Exception):
    """The head is not HTTP/1.1; ``status`` is what to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(NamedTuple):
    """Method, target, headers and HTTP version of a request; names in lower case, repeated ones joined by a comma."""

    method: str
    target: str
    headers: dict[str, str]
    version: str = "1.1"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def has_token(self, name: str, token: str) -> bool:
        """Tell whether the comma-separated header ``name`` holds ``token``, in any case."""
        return token in (part.strip().lower() for part in self.headers.get(name, "").split(","))


def parse_head(data: bytes) -> RequestHead:
    """Parse a whole head, without its last empty line.

    Raises:
        BadHead: with 400, also when there is not one Host (RFC 9112 §3.2), or 431.
    """
    lines = data.decode("latin-1").split("\r\n")
    if len(lines) > MAX_HEADERS + 1:
        raise BadHead(431, "too many headers")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise BadHead(400, "not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise BadHead(400, "a header is malformed")
        key = name.lower()
        if key == "host" and key in headers:
            raise BadHead(400, "there are two Host headers")
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    if match[3] == "1" and "host" not in headers:
        raise BadHead(400, "the Host header is missing")
    return RequestHead(match[1], match[2], headers, f"1.{match[3]}")


def is_hopeless(data: bytes) -> bool:
    """Tell whether the beginning of a head can be refused without its end: no method, or a line ends without CR."""
    return not b"A" <= data[:1] <= b"Z" or data.count(b"\n") != data.count(b"\r\n")
