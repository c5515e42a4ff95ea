"""A full disk: the server says ``unavailable``, keeps what it acknowledged, goes on reading, and recovers by itself."""

import contextlib
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.conditions import FILE_LIMIT, FULL
from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.peers import Frame, Peer, Refused
from tests.integration.scene import PASSWORD, Person, Scene, dm, numbers

pytestmark = pytest.mark.crash
PROGRAM = ("-m", "tests.integration.conditions")
ROOM = 200_000
LARGE, SMALL = "x" * 8_000, "x"

once = pytest.mark.parametrize("transport", ["websocket"])
"""For what the transport cannot change."""

FullDisk = Callable[[ServerProcess], AbstractContextManager[None]]


@contextlib.contextmanager
def no_file_grows(server: ServerProcess) -> Iterator[None]:
    """Let the kernel refuse what would make a file of the running server larger than the largest of now and a bit."""
    largest = max(path.stat().st_size for path in server.data.iterdir())
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + ROOM, resource.RLIM_INFINITY))
    yield
    if server.runs:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_page_is_left(server: ServerProcess) -> Iterator[None]:
    """Let SQLite find no room for a further page of the data file."""
    file = server.folder / FULL
    file.touch()
    yield
    file.unlink()


@pytest.fixture(params=[no_file_grows, no_page_is_left])
def full_disk(request: pytest.FixtureRequest) -> FullDisk:
    """Two ways to have no room."""
    found: FullDisk = request.param
    return found


class Chat:
    """Alice writes to Bob; ``acked`` is what the server promised, ``refused`` what it did not take."""

    def __init__(self, scene: Scene, alice: Person, bob: Person) -> None:
        self.scene = scene
        self.alice = alice
        self.bob = bob
        self.id = dm(alice, bob)
        self.acked: list[Frame] = []
        self.refused: list[Frame] = []

    async def write(self, peer: Peer, text: str) -> bool:
        """Send a message; tell whether it was taken. A refusal must be one that a client can live with."""
        frame = {
            "conversationId": self.id,
            "clientMessageId": f"m{len(self.acked) + len(self.refused)}",
            "contentType": "text",
            "content": text,
        }
        answer = await peer.ask("send", **frame)
        if answer["type"] == "ack":
            self.acked.append(answer)
            return True
        expected = {"type": "error", "code": "unavailable", "retryable": True}
        assert answer == answer | expected | {"clientMessageId": frame["clientMessageId"]}
        assert answer["retryAfterMs"] > 0
        self.refused.append(frame)
        return False

    async def fill(self, peer: Peer) -> None:
        """Write until nothing is taken any more, be it ever so small."""
        for text in (LARGE, SMALL):
            while await self.write(peer, text):
                assert len(self.acked) < 5_000, "the disk does not become full"

    async def write_again(self, peer: Peer) -> None:
        """Send once more what was refused, as a client does that keeps its outbox."""
        refused, self.refused = self.refused, []
        for frame in refused:
            answer = await peer.ask("send", **frame)
            assert answer["type"] == "ack", answer
            self.acked.append(answer)

    async def check(self) -> None:
        """Everything that was acknowledged is there once, and nothing else."""
        for person in (self.alice, self.bob):
            history = await person.history(self.id)
            assert numbers(history) == list(range(1, len(self.acked) + 1))
            assert [(one["messageId"], one["clientMessageId"]) for one in history] == [
                (one["messageId"], one["clientMessageId"]) for one in self.acked
            ]


async def new_chat(scene: Scene) -> Chat:
    return Chat(scene, *await scene.people("alice", "bob"))


async def status(work: Awaitable[object]) -> int:
    """Return 200, or the status of a refusal that tells a client to come back."""
    try:
        await work
    except Refused as refused:
        return refused.status if refused.body["error"]["retryable"] and refused.code == "unavailable" else 0
    return 200


async def is_ready(scene: Scene, wanted: int) -> bool:
    return await status(scene.http("GET", "/readyz")) == wanted


async def test_a_full_disk_refuses_and_comes_back_without_a_restart(
    new_scene: NewScene, new_server: NewServer, full_disk: FullDisk
) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    chat = await new_chat(scene)
    a, b = await chat.alice.ready(), await chat.bob.ready()
    assert await chat.write(a, "before")
    with full_disk(server):
        await chat.fill(a)
        again = await a.ask("send", conversationId=chat.id, contentType="text", content="before", clientMessageId="m0")
        assert again["sequenceNumber"] == 1, "what it has, it can tell"
        assert len(chat.acked) > 1
        assert numbers(await b.messages(len(chat.acked))) == numbers(chat.acked)
        await chat.check()
        assert not await chat.write(a, SMALL)
    await chat.write_again(a)
    assert await chat.write(b, "after")
    assert numbers(await a.messages(1)) == numbers(chat.acked[-1:])
    head = len(chat.acked)
    told = await b.ask("received", conversationId=chat.id, sequenceNumber=head)
    assert (told["type"], told["sequenceNumber"]) == ("receipt", head)
    await chat.check()
    assert not a.is_closed
    assert not b.is_closed
    await scene.restart()
    await chat.check()


async def test_nothing_acked_is_lost_when_a_server_dies_on_a_full_disk(
    new_scene: NewScene, new_server: NewServer, full_disk: FullDisk
) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    chat = await new_chat(scene)
    a = await chat.alice.ready()
    with full_disk(server):
        await chat.fill(a)
        server.kill9()
    await scene.restart()
    await chat.check()
    a = await chat.alice.ready()
    await chat.write_again(a)
    await chat.check()


@once
async def test_a_full_disk_refuses_everything_that_writes(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    chat = await new_chat(scene)
    alice, bob = chat.alice, chat.bob
    a, b = await alice.ready(), await bob.ready()
    await chat.write(a, "before")
    await b.messages(1)
    log_in = {"userId": bob.user_id, "password": PASSWORD, "device": {"name": "new"}}
    message = {"conversationId": chat.id, "contentType": "text", "content": "by http"}
    writes = (
        ("POST", "/v1/accounts", {"userId": "carol", "password": PASSWORD}),
        ("POST", "/v1/sessions", log_in),
        ("POST", "/v1/messages", message | {"clientMessageId": "http"}),
        ("POST", "/v1/groups", {"name": "New", "memberIds": [bob.user_id]}),
        ("PUT", f"/v1/contacts/{bob.user_id}", None),
        ("PATCH", f"/v1/conversations/{chat.id}", {"pinned": True}),
        ("PATCH", "/v1/me", {"displayName": "Alice"}),
    )
    reads = ("/v1/me", "/v1/devices", "/v1/conversations", f"/v1/users/{bob.user_id}", "/v1/contacts")
    with no_file_grows(server):
        await chat.fill(a)
        await scene.until(lambda: is_ready(scene, 503))
        assert await status(scene.http("GET", "/healthz")) == 200
        for method, path, body in writes:
            assert await status(alice.http(method, path, body)) == 503, path
        for path in reads:
            assert await status(alice.http("GET", path)) == 200, path
        for name in ("received", "read"):
            answer = await b.ask(name, conversationId=chat.id, sequenceNumber=1)
            assert (answer["type"], answer["code"]) == ("error", "unavailable")
        assert (await b.ask("fetch", conversationId=chat.id, after=0))["type"] == "messages"
        newcomer = await bob.connect()
        assert (await newcomer.ask("ping"))["type"] == "pong"
    await scene.until(lambda: is_ready(scene, 200))
    for method, path, body in writes:
        assert await status(alice.http(method, path, body)) == 200, path
    head = (await alice.conversation(chat.id))["lastSequenceNumber"]
    for name in ("received", "read"):
        assert (await newcomer.ask(name, conversationId=chat.id, sequenceNumber=head))["type"] == "receipt"
    assert (await bob.conversation(chat.id))["unread"] == 0


@once
async def test_nobody_who_leaves_on_a_full_disk_hurts_the_server(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(program=PROGRAM, LIMITS_PRESENCE_DEBOUNCE_S="0.1", STORE_SWEEP_AFTER_S="0.1")
    scene = new_scene(server)
    chat = await new_chat(scene)
    a, b = await chat.alice.ready(transport="websocket"), await chat.bob.ready(transport="websocket")
    await chat.write(a, "before")
    await a.ask("presence.subscribe", userIds=[chat.bob.user_id])
    with no_file_grows(server):
        await chat.fill(a)
        await b.messages(len(chat.acked))
        await b.leave()
        gone = await a.expect("presence", status="offline")
        assert gone["userId"] == chat.bob.user_id
        b = await chat.bob.connect(transport="websocket")
        assert server.stop() == 0
    await scene.restart()
    await chat.check()


@once
async def test_a_server_that_is_stopped_on_a_full_disk_ends_well(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    chat = await new_chat(scene)
    a = await chat.alice.ready()
    with no_file_grows(server):
        await chat.fill(a)
        assert server.stop() == 0
    await scene.restart()
    await chat.check()


@once
async def test_a_server_does_not_start_on_a_full_disk(new_scene: NewScene, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, program=PROGRAM) as server:
        scene = new_scene(server)
        chat = await new_chat(scene)
        assert await chat.write(await chat.alice.ready(), LARGE)
    limit = server.folder / FILE_LIMIT
    limit.write_text("4096")
    with pytest.raises(ServerEnded) as refused:
        server.start()
    assert refused.value.code == 1
    assert str(server.data / "cooee.db") in refused.value.output
    assert "Traceback" not in refused.value.output
    limit.unlink()
    try:
        server.start()
        await scene.wire.renew()
        await chat.check()
    finally:
        server.kill9()
