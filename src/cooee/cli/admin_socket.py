"""HTTP over the administrative Unix socket of a running server."""

import http.client
import os
import socket
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cooee.cli.errors import UNREACHABLE, CliError
from cooee.client.errors import ServerError
from cooee.protocol import http as bodies

T = TypeVar("T")
_PATIENCE_S = 30.0


class NobodyListens(Exception):
    """No server runs on this data folder."""


class AdminSocket:
    """Asks the server behind the socket at ``path``, one request a connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, target: str, answer: type[T], body: msgspec.Struct | None = None) -> T:
        """Ask, and return the answer.

        Raises:
            NobodyListens: there is no socket, or no server behind it.
            ServerError: the server refused.
            CliError: the socket may not be opened (exit 1), or the server does not answer (exit 3).
        """
        content = self.ask(method, target, body)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.DecodeError as problem:
            raise CliError(f"{self._path} does not answer as a chat server does: {problem}.", code="state") from None

    def ask(self, method: str, target: str, body: msgspec.Struct | None = None) -> bytes:
        """Ask, and return the answer's content. Raises as `call`."""
        connection = _UnixConnection(self._path)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, target, msgspec.json.encode(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
        except (FileNotFoundError, ConnectionRefusedError):
            raise NobodyListens from None
        except PermissionError:
            raise CliError(
                f"This user may not open {self._path}; use the user that runs the server.", code="forbidden"
            ) from None
        except (OSError, http.client.HTTPException) as problem:
            raise CliError(
                f"The server behind {self._path} does not answer: {problem}.", UNREACHABLE, code="unreachable"
            ) from None
        finally:
            connection.close()
        if response.status >= 400:
            raise _refusal(response.status, content)
        return content


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a socket in the file system, by the shorter of its paths: the kernel takes 107 bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE_S)
            connection.connect(min(str(self._path), os.path.relpath(self._path), key=len))
        except OSError:
            connection.close()
            raise
        self.sock = connection


def _refusal(status: int, content: bytes) -> ServerError:
    try:
        error = msgspec.json.decode(content, type=bodies.ErrorBody).error
    except msgspec.DecodeError:
        return ServerError("internal", f"the server answered with status {status}", status=status)
    return ServerError(
        error.code, error.message, retryable=error.retryable, retry_after_ms=error.retry_after_ms, status=status
    )


def query(**parameters: Any) -> str:
    """Return a query string of what is not empty, with its question mark."""
    from urllib.parse import urlencode  # noqa: PLC0415  # only lists need it

    given = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else ""
