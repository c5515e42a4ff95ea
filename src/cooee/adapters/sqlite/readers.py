"""Reads beside the writer: a few threads, each with its own read-only connection."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from cooee.domain.errors import unavailable

T = TypeVar("T")


class ReaderPool:
    """Runs functions on read-only connections, each in one snapshot that holds all that was acknowledged before."""

    def __init__(self, connect: Callable[[], apsw.Connection], threads: int) -> None:
        self._connect = connect
        self._local = threading.local()
        self._connections: list[apsw.Connection] = []
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="cooee-reader")

    async def read(self, run: Callable[[apsw.Connection], T]) -> T:
        """Return what ``run`` returns.

        Raises:
            CooeeError: ``unavailable`` when the file cannot be read now; or what ``run`` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, run)

    def close(self) -> None:
        """Wait for what is running, end the threads and close their connections. Blocks."""
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _run(self, run: Callable[[apsw.Connection], T]) -> T:
        try:
            connection = self._own_connection()
            connection.execute("BEGIN")
            try:
                return run(connection)
            finally:
                connection.execute("COMMIT")
        except (apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.CorruptError, apsw.NoMemError) as error:
            raise unavailable("the store cannot be read now; try again") from error

    def _own_connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._connections.append(connection)
        return connection
