"""`idle`: connections that do nothing but stay, and what each of them costs."""

import asyncio
import time

from cooee.bench.connection import connect_all, ignore
from cooee.bench.figures import Figures, Progress, no_progress, rounded
from cooee.bench.target import Target

_WARM_UP = 50
_SETTLE_S = 1.0
_WATCH_S = 0.5


async def run(server: Target, *, connections: int, seconds: float, progress: Progress = no_progress) -> Figures:
    """Open the connections, let them be for ``seconds`` (heartbeats come after 30), and return the figures.

    Memory is that of a server that was started anew and has served some connections, compared with the same server
    under all of them at the end. So what the accounts' making left behind is in neither.
    """
    users = await server.enrol(connections + _WARM_UP, progress)
    await server.restart()
    tokens = [token for _, token in users]
    for each in await connect_all(server.url, tokens[connections:], ignore):
        each.close()
    await asyncio.sleep(_SETTLE_S)
    empty, began = server.rss_bytes(), time.perf_counter()
    opened = await connect_all(server.url, tokens[:connections], ignore, progress=progress)
    connected_s = time.perf_counter() - began
    await asyncio.sleep(_SETTLE_S)
    began, cpu = time.perf_counter(), server.cpu_s()
    while (gone := time.perf_counter() - began) < seconds:
        progress("Idling", gone, seconds)
        await asyncio.sleep(min(_WATCH_S, seconds - gone))
    took, used = time.perf_counter() - began, server.cpu_s() - cpu
    full = server.rss_bytes()
    alive = sum(not each.closed for each in opened)
    return {
        "scenario": "idle",
        "connections": alive,
        "lost": connections - alive,
        "seconds": round(took, 3),
        "connections_per_s": round(connections / connected_s, 1),
        "server_cores": rounded(used / took, 4) if server.pid else None,
        "rss_bytes": full if server.pid else None,
        "rss_bytes_per_connection": rounded((full - empty) / max(1, alive), 1) if server.pid else None,
    }
