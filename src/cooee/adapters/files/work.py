"""Threads for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from cooee.adapters.files.folder import told

Given = ParamSpec("Given")
Result = TypeVar("Result")
_THREADS = 4


class DiskWork:
    """Runs what blocks on a few threads of its own, so that a slow disk holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "media-files")

    async def run(self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        """Run it and return what it returned. Whoever is cancelled meanwhile goes on once it has ended.

        Raises:
            CooeeError: what it raised, or ``unavailable`` for what the disk refused.
        """
        future = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))
        try:
            with told():
                return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.exception()
            raise

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=True)
