"""``kill -9`` of the server in the middle of load: nothing acked is lost, nothing doubled, everybody agrees (§3–§5)."""

import asyncio
import random

import pytest

from tests.integration.checker import check_all
from tests.integration.conftest import NewScene, NewServer
from tests.integration.load import gather_crowd

LARGE = {"LIMITS_LARGE_GROUP_MEMBERS": "5", "LIMITS_WINDOW": "64"}
KILLS = 2


@pytest.fixture
def transport() -> str:
    """The crowd chooses for itself."""
    return "websocket"


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(20))
async def test_a_killed_server_keeps_its_promises(new_scene: NewScene, new_server: NewServer, seed: int) -> None:
    moments = random.Random(seed)
    server = new_server(**LARGE)
    scene = new_scene(server)
    crowd = await gather_crowd(scene, seed)
    crowd.start()
    for _ in range(KILLS):
        await asyncio.sleep(moments.uniform(0.05, 0.9))
        await crowd.busy()
        server.kill9()
        await asyncio.to_thread(server.start)
        await crowd.look()
    await asyncio.sleep(0.1)
    await crowd.stop()
    record = await crowd.record()
    assert sum(map(len, record.histories.values())) > 30, "there was load"
    check_all(record)
