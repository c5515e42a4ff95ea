"""The server under load: started for the benchmark on a folder of its own, or one that runs elsewhere."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

_ENVIRONMENT = {
    "COOEE_ACCOUNTS_ARGON2_MEMORY_KIB": "8",
    "COOEE_ACCOUNTS_ARGON2_TIME_COST": "1",
    "COOEE_LIMITS_FRAMES": "1000000/s",
    "COOEE_LIMITS_SENDS": "1000000/s",
    "COOEE_LIMITS_NEW_DIRECT_CHATS_WITH_STRANGERS": "1000000/s",
    "COOEE_LIMITS_GROUP_CHANGES": "1000000/s",
    "COOEE_LOG_LEVEL": "warning",
}
_PASSWORD = "only for load"  # noqa: S105  # of accounts that end with the benchmark
_AT_ONCE = 16


class Target(NamedTuple):
    """A server: its URL, and its process if it is ours (0: elsewhere, its CPU cannot be read)."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU time the server has used, in seconds; 0 for one that runs elsewhere."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Return the server's resident memory, 0 for one that runs elsewhere."""
        if not self.pid:
            return 0
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def target(url: str | None, settings: dict[str, str] | None = None) -> AsyncIterator[Target]:
    """Give the server at ``url``, or start one with all rules on and the rates raised by configuration."""
    if url:
        yield Target(url.rstrip("/"), 0)
        return
    with tempfile.TemporaryDirectory(prefix="cooee-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cooee", "serve", "--port", "0", "--data-dir", folder,
            env=os.environ | _ENVIRONMENT | (settings or {}), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Target(await _address(process), process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    async for line in process.stdout:
        _, found, url = line.decode().partition("listens on ")
        if found:
            return url.strip()
    raise ConnectionError("the server did not start")


async def log_in(server: Target, user_ids: list[str]) -> list[str]:
    """Create the accounts and log each in; return their tokens in the same order."""
    gate = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(base_url=server.url) as http:

        async def one(user_id: str) -> str:
            async with gate:
                account = {"userId": user_id, "password": _PASSWORD}
                async with http.post("/v1/accounts", json=account) as answer:
                    if answer.status not in (201, 409):
                        raise ConnectionError(f"no account: {await answer.text()}")
                device = {"name": "bench", "type": "bench"}
                async with http.post("/v1/sessions", json=account | {"device": device}) as answer:
                    answer.raise_for_status()
                    return str((await answer.json())["token"])

        return await asyncio.gather(*map(one, user_ids))
