"""Servers and scenes for the tests of the whole system."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cafe import Cafe
from tests.integration.harness import ServerProcess
from tests.integration.scene import Scene

NewServer = Callable[..., ServerProcess]
NewScene = Callable[[ServerProcess], Scene]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Run one server for all tests of a module, with the module's ``SETTINGS``; its log must stay clean."""
    settings = getattr(request.module, "SETTINGS", {})
    with ServerProcess(tmp_path_factory.mktemp("server"), settings) as running:
        yield running


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[NewServer]:
    """Return a function that starts a server of the test's own: ``new_server(LIMITS_WINDOW="8")``."""
    made: list[ServerProcess] = []

    def start(*, program: tuple[str, ...] = ("-m", "cooee"), **settings: str) -> ServerProcess:
        one = ServerProcess(tmp_path / f"server-{len(made)}", settings, program=program)
        made.append(one)
        return one.start()

    yield start
    for one in made:
        one.kill9()
    for one in made:
        one.check_log()


@pytest.fixture(params=["websocket", "longpoll"])
def transport(request: pytest.FixtureRequest) -> str:
    """How the people of a scenario connect: every scenario runs over both."""
    return str(request.param)


@pytest.fixture
async def new_scene(transport: str) -> AsyncIterator[NewScene]:
    """Return a function that makes a scene on a given server."""
    made: list[Scene] = []

    def make(server: ServerProcess) -> Scene:
        made.append(Scene(server, transport))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
async def scene(server: ServerProcess, new_scene: NewScene) -> Scene:
    """A scene on the module's server."""
    return new_scene(server)


@pytest.fixture
async def cafe(tmp_path: Path) -> AsyncIterator[Cafe]:
    """Return a place where people sit before `cooee chat`."""
    async with Cafe(tmp_path / "cafe") as opened:
        yield opened
