"""`reconnect`: everybody loses the connection at once and comes back, while others go on writing."""

import asyncio
import json
import sys
import time

from cooee.bench.connection import connect_all, ignore
from cooee.bench.figures import Figures, Progress, no_progress, rounded
from cooee.bench.pairs import run as run_pairs
from cooee.bench.target import Target

_WRITERS = 50
_BEFORE_S = 2.0


async def run(
    server: Target, *, connections: int, rate: float, seconds: float, progress: Progress = no_progress
) -> Figures:
    """Drop ``connections`` and bring them back while ``rate`` messages a second go between others.

    The writers run in a process of their own, for ``seconds`` around it: a generator that is busy with connecting
    would measure itself.
    """
    users = await server.enrol(connections, progress)
    tokens = [token for _, token in users]
    opened = await connect_all(server.url, tokens, ignore, progress=progress)
    writers = asyncio.create_task(write_beside(server, rate, seconds))
    await asyncio.sleep(min(_BEFORE_S, seconds / 4))
    cpu, began = server.cpu_s(), time.perf_counter()
    for connection in opened:
        connection.close()
    back = await connect_all(server.url, tokens, ignore, progress=progress, what="Coming back")
    took, used = time.perf_counter() - began, server.cpu_s() - cpu
    others = await writers
    return {
        "scenario": "reconnect",
        "connections": sum(not each.closed for each in back),
        "rate": rate,
        "seconds": round(took, 3),
        "connections_per_s": round(connections / took, 1),
        "server_cores": rounded(used / took, 3) if server.pid else None,
        "messages_per_s": others["messages_per_s"],
        "errors": others["errors"],
        "ack_ms": others["ack_ms"],
        "delivery_ms": others["delivery_ms"],
    }


async def write_beside(server: Target, rate: float, seconds: float) -> Figures:
    """Run `pairs` in another process on the same server."""
    if not server.folder:
        return await run_pairs(server, pairs=_WRITERS, window=0, rate=rate, seconds=seconds)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cooee", "bench", "pairs", "--url", server.url, "--data-dir", str(server.folder),
        "--pairs", str(_WRITERS), "--rate", str(rate), "--seconds", str(seconds), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise ConnectionError("the writers failed")
    figures: Figures = json.loads(output)
    return figures
