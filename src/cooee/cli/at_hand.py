"""The socket in a store's folder by which commands ask the program that has the store open (`operation`).

One request a connection, lines of JSON both ways: ``{"operation", "wish"}``; then any number of ``{"told"}``, and
``{"result"}`` or ``{"error"}``. When the asker goes away, the operation is cancelled. Folder and socket are open for
their owner alone, who may read the store anyway.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from cooee.cli.errors import CliError, explained
from cooee.cli.operation import Operation, Tell, find_operation
from cooee.client import Client

W = TypeVar("W")
R = TypeVar("R")

NAME: Final = "at-hand.sock"
MAX_LINE: Final = 64 << 20
"""Bytes of one line: a page of the longest messages fits."""
MAX_AT_ONCE: Final = 16
"""Commands that are served at once; more are turned away."""
_WISH_S = 10.0
_LONGEST_PATH: Final = 100


_NOTHING: Final = msgspec.Raw(b"")


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operation: str
    wish: msgspec.Raw


class _Failure(msgspec.Struct, frozen=True, rename="camel"):
    message: str
    exit_code: int
    code: str
    extra: dict[str, Any] = {}


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    told: msgspec.Raw = _NOTHING
    result: msgspec.Raw = _NOTHING
    error: _Failure | None = None


_requests = msgspec.json.Decoder(_Request)
_answers = msgspec.json.Decoder(_Answer)
_encode = msgspec.json.encode


# --- the program that has the store -----------------------------------------------------------------------------------


@asynccontextmanager
async def serving(client: Client, note: Callable[[str], None] = lambda _: None) -> AsyncIterator[None]:
    """Do what commands ask for while the context lasts, with ``client``, which has its store open.

    ``note`` is told when that is not possible: commands are refused then.
    """
    path = client.folder / NAME
    listener = _bound(path)
    if listener is None:
        note("Commands of the same account have to wait for the end of this one: there is no socket here for them.")
        yield
        return
    desk = _Desk(client)
    server = await asyncio.start_unix_server(desk.serve, sock=listener, limit=MAX_LINE)
    try:
        yield
    finally:
        server.close()
        await desk.close()
        with suppress(OSError):
            path.unlink()


def _bound(path: Path) -> socket.socket | None:
    """Return a socket at ``path``, in the place of one that was left there; None where it cannot be."""
    if sys.platform == "win32":
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)  # whoever made it has ended: the lock is ours
        with _short(path) as short:
            listener.bind(short)
        path.chmod(0o600)
        listener.setblocking(False)
    except OSError:
        listener.close()
        return None
    return listener


class _Desk:
    """Serves the connections of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # it runs
        self._tasks.add(task)
        try:
            if len(self._tasks) <= MAX_AT_ONCE:
                await self._serve(reader, writer)
        except (OSError, ValueError, msgspec.DecodeError, TimeoutError, asyncio.CancelledError):
            pass  # whoever asks badly, or goes away, gets no answer
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_WISH_S):
            line = await reader.readline()
        request = _requests.decode(line)
        working = asyncio.create_task(self._work(request, writer), name="cooee-at-hand")
        leaving = asyncio.create_task(reader.read(1), name="cooee-at-hand-leaving")
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                writer.write(_encode(working.result()) + b"\n")
                await writer.drain()
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def _work(self, request: _Request, writer: asyncio.StreamWriter) -> _Answer:
        def tell(told: msgspec.Struct) -> None:
            writer.write(_encode(_Answer(told=msgspec.Raw(_encode(told)))) + b"\n")

        operation = find_operation(request.operation)
        try:
            if operation is None:
                raise CliError("The program that has the store knows no such thing; end it, and try again.")
            wish = msgspec.json.decode(request.wish, type=operation.wish)
            result = await operation.run(self._client, wish, tell)
            return _Answer(result=msgspec.Raw(_encode(result)))
        except Exception as problem:  # noqa: BLE001  # it is told where it was asked for
            failure = explained(problem)
            return _Answer(
                error=_Failure(failure.message, failure.exit_code, failure.code, failure.extra),
            )

    async def close(self) -> None:
        """End what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- a command --------------------------------------------------------------------------------------------------------


def somebody_at_hand(folder: Path) -> bool:
    """Tell whether a program that has the store of ``folder`` open can be asked."""
    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with _short(folder / NAME) as short:
                connection.connect(short)
        except OSError:
            return False
    return True


async def ask(folder: Path, operation: Operation[W, R], wish: W, tell: Tell) -> R:
    """Have the program that has the store of ``folder`` open do ``operation``.

    Raises:
        CliError: it could not be done, or nobody knows whether it was: the program ended meanwhile.
    """
    try:
        with _short(folder / NAME) as short:
            reader, writer = await asyncio.open_unix_connection(short, limit=MAX_LINE)
    except OSError:
        raise CliError("The program that had the store ended just now; try again.", code="store") from None
    try:
        writer.write(_encode(_Request(operation.name, msgspec.Raw(_encode(wish)))) + b"\n")
        while True:
            line = await reader.readline()
            if not line:
                raise _ended()
            answer = _answers.decode(line)
            if answer.error is not None:
                failure = answer.error
                raise CliError(failure.message, failure.exit_code, code=failure.code, **failure.extra)
            if bytes(answer.result):
                result: R = msgspec.json.decode(answer.result, type=operation.result)
                return result
            if bytes(answer.told):
                tell(msgspec.json.decode(answer.told, type=operation.told))
    except (OSError, ValueError):
        raise _ended() from None
    finally:
        writer.close()


def _ended() -> CliError:
    return CliError(
        "The program that has the store ended meanwhile; `cooee history` and `cooee outbox` show how far it came."
    )


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a path of a socket that is short enough for the kernel, which takes 107 bytes, where there is one."""
    shorter = min(str(path), os.path.relpath(path), key=len)
    if len(os.fsencode(shorter)) <= _LONGEST_PATH or not sys.platform.startswith("linux"):
        yield shorter
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
