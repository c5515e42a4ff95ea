"""The front server in this process, on both event loops, with sessions that do as the frames tell them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from tests.fakes.certificates import Certified, certified
from tests.integration.front.stage import Front, make_front

NewFront = Callable[..., Awaitable[Front]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test runs on the standard library's loop and on uvloop: they read and change protocols differently."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """Both ends of TLS."""
    return certified(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["plain", "tls"])
def over(request: pytest.FixtureRequest, certificates: Certified) -> Certified | None:
    """How the clients of a test come: every test runs over both."""
    return certificates if request.param == "tls" else None


@pytest.fixture
async def new_front(caplog: pytest.LogCaptureFixture, over: Certified | None) -> AsyncIterator[NewFront]:
    """Return a function that starts a front server; at the end nothing is left of it, and no loop met an exception."""
    made: list[Front] = []
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    async def start(**settings: Any) -> Front:
        made.append(await make_front(certified=over, **settings))
        return made[-1]

    yield start
    for front in made:
        await front.server.aclose()
        await asyncio.sleep(0)
        assert front.server.open_connections == 0
        assert not front.server._http_state.connections
        assert not front.server._http_state.tasks
        assert all(session.lost == 1 for session in front.sessions)
    assert problems == []
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


@pytest.fixture
async def front(new_front: NewFront) -> Front:
    """A front server with default settings."""
    return await new_front()
