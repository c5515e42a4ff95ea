"""A server behind the reverse proxies of `deploy/`: both transports, client addresses, and a drain through them."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from yarl import URL

from tests.integration.harness import ServerProcess
from tests.integration.peers import DEADLINE_S, Http, LongPollPeer, Peer, Refused
from tests.integration.proxies import PROGRAMS, ReverseProxy, SecurePeer, SecureWire, program
from tests.integration.scene import PASSWORD

Need = Callable[[bool, str, str], None]
PEERS: dict[str, type[Peer]] = {"websocket": SecurePeer, "longpoll": LongPollPeer}
SETTINGS = {
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "PUBLIC_URL": "https://chat.example.org",
    "LIMITS_EXEMPT": "",
    "LIMITS_REGISTRATIONS_PER_ADDRESS": "4/h",
    "LIMITS_DRAIN_S": "2",
}


class Front:
    """A proxy, the server behind it, and the ways through."""

    def __init__(self, proxy: ReverseProxy, server: ServerProcess) -> None:
        self.proxy = proxy
        self.server = server
        self.wires: list[SecureWire] = []
        self.peers: list[Peer] = []

    def wire(self, address: str = "127.0.0.1") -> SecureWire:
        self.wires.append(SecureWire(self.proxy, address))
        return self.wires[-1]

    async def person(self, user_id: str, wire: SecureWire) -> Http:
        """Register somebody and log a device in."""
        await Http(wire)("POST", "/v1/accounts", {"userId": user_id, "password": PASSWORD})
        body = {"userId": user_id, "password": PASSWORD, "device": {"name": "test"}}
        return Http(wire, (await Http(wire)("POST", "/v1/sessions", body))["token"])

    async def ready(self, device: Http, transport: str) -> Peer:
        self.peers.append(PEERS[transport](device))
        peer = await self.peers[-1].hello()
        await peer.caught_up()
        return peer

    async def aclose(self) -> None:
        await asyncio.gather(*(peer.leave() for peer in self.peers), return_exceptions=True)
        await asyncio.gather(*(wire.aclose() for wire in self.wires))


@pytest.fixture(params=PROGRAMS)
def proxy_name(request: pytest.FixtureRequest, need: Need) -> str:
    name = str(request.param)
    package = "nginx-light" if name == "nginx" else name
    if name == "caddy" and program(name) is None:
        pytest.skip("caddy is missing: apt-get install caddy")
    need(program(name) is not None, name, f"apt-get install {package}")
    need(program("openssl") is not None, "openssl", "apt-get install openssl")
    return name


@pytest.fixture
def proxied(proxy_name: str, tmp_path: Path) -> Iterator[tuple[ReverseProxy, ServerProcess]]:
    with ServerProcess(tmp_path / "server", SETTINGS) as server:
        proxy = ReverseProxy(proxy_name, tmp_path / "proxy", server.url)
        assert proxy.check() == ""
        try:
            yield proxy.start(), server
        finally:
            proxy.stop()


@pytest.fixture
async def front(proxied: tuple[ReverseProxy, ServerProcess]) -> AsyncIterator[Front]:
    front = Front(*proxied)
    yield front
    await front.aclose()


async def test_people_talk_over_both_transports(front: Front) -> None:
    wire = front.wire()
    alice, bob = await front.person("alice", wire), await front.person("bob", wire)
    over_socket, over_polls = await front.ready(alice, "websocket"), await front.ready(bob, "longpoll")
    await over_socket.say("dm:alice:bob", "hello from a socket")
    assert (await over_polls.expect("message"))["content"] == "hello from a socket"
    await over_polls.say("dm:alice:bob", "hello from a poll " + "x" * 30_000)
    (message,) = await over_socket.messages(1)
    assert len(message["content"]) > 30_000
    await over_polls.send("received", conversationId="dm:alice:bob", sequenceNumber=1)
    await over_socket.expect("receipt")

    # a poll that nothing comes to is answered by the server, not by the proxy
    assert isinstance(over_polls, LongPollPeer)
    await over_polls.leave()
    body = {"requestNumber": 1, "frames": [{"type": "hello", "token": ""}], "waitMs": 0}
    opened = await bob("POST", "/v1/poll", body)
    frames = opened["frames"]
    for number in (2, 3):
        body = {"session": opened["session"], "requestNumber": number, "ack": number - 1, "waitMs": 1000, "frames": []}
        frames += (await bob("POST", "/v1/poll", body))["frames"]
    assert frames[0]["type"] == "welcome"


async def test_the_server_sees_the_clients_addresses_and_believes_no_client(front: Front) -> None:
    home, cafe = front.wire("127.0.0.2"), front.wire("127.0.0.3")
    for number in range(4):
        await front.person(f"home{number}", home)
    body = {"userId": "onemore", "password": PASSWORD}
    for claimed in ("", "203.0.113.9", "127.0.0.1", "203.0.113.10, 127.0.0.1"):
        headers = {"x-forwarded-for": claimed} if claimed else {}
        with pytest.raises(Refused) as refused:
            await Http(home)("POST", "/v1/accounts", body, **headers)
        assert refused.value.code == "rate_limited"
    await Http(cafe)("POST", "/v1/accounts", body)


async def test_what_is_not_for_the_world_is_not_there(front: Front) -> None:
    wire = front.wire()
    for path in ("/metrics", "/v1/admin/users", "/v1/admin/backup"):
        async with wire.client.get(front.proxy.url + path) as answer:
            assert answer.status == 404
    async with wire.client.get(front.proxy.url + "/healthz") as answer:
        assert answer.status == 200
        assert "max-age" in answer.headers["strict-transport-security"]
    if front.proxy.name == "caddy":
        return  # it sends plain http on to https without being told
    plain = f"http://127.0.0.1:{front.proxy.plain_port}/healthz"
    async with wire.client.get(plain, allow_redirects=False) as answer:
        assert answer.status == 301
        assert answer.headers["location"].startswith("https://")


async def test_the_address_of_an_incoming_webhook_stands_in_no_log(front: Front) -> None:
    """Its path is its secret; what else is asked for is logged as before."""
    wire = front.wire()
    alice = await front.person("alice", wire)
    await alice("POST", "/v1/bots", {"userId": "echo"})
    body = {"name": "ci", "conversationId": "dm:alice:echo"}
    path = (await alice("POST", "/v1/bots/echo/incoming", body))["path"]
    await Http(wire)("POST", path, {"text": "the build is green"})
    if front.proxy.name != "caddy":  # which names a request that failed, unless it is told not to
        await asyncio.to_thread(front.server.stop)
        async with wire.client.post(front.proxy.url + path, json={"text": "nobody is there"}) as answer:
            assert answer.status in (502, 503)
    await wire.aclose()
    front.proxy.stop()
    written = front.proxy.output + "".join(
        file.read_text("utf-8", "replace") for file in front.proxy.folder.rglob("*") if file.is_file()
    )
    assert path.rpartition("/")[2] not in written + front.server.output
    if front.proxy.name != "caddy":  # which logs no requests unless told to
        assert "/v1/bots/echo/incoming" in written


async def test_large_files_pass_and_their_addresses_stand_in_no_log(front: Front) -> None:
    """An address is a secret as long as it is good."""
    wire = front.wire()
    alice = await front.person("alice", wire)
    content = bytes(range(256)) * 20_000
    wish = {
        "contentType": "application/octet-stream",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    upload = await alice("POST", "/v1/media/uploads", wish)
    url = URL(front.proxy.url + upload["uploadUrl"], encoded=True)
    half = len(content) // 2
    for start, end, status in ((0, half, 308), (half, len(content), 201)):
        headers = upload["headers"] | {"content-range": f"bytes {start}-{end - 1}/{len(content)}"}
        async with wire.client.put(url, data=io.BytesIO(content[start:end]), headers=headers) as answer:
            assert answer.status == status
    await alice("POST", "/v1/bots", {"userId": "echo"})
    said = {"mediaKey": upload["mediaKey"], "mimeType": "application/octet-stream", "size": len(content)}
    message = {"clientMessageId": "c1", "conversationId": "dm:alice:echo", "contentType": "document", "content": said}
    await alice("POST", "/v1/messages", message)
    link = await alice("GET", f"/v1/media/{upload['mediaKey']}?redirect=false")
    async with wire.client.get(URL(front.proxy.url + link["url"], encoded=True)) as answer:
        assert await answer.read() == content
        assert answer.headers["content-security-policy"].startswith("sandbox")
    await wire.aclose()
    front.proxy.stop()
    written = front.proxy.output + "".join(
        file.read_text("utf-8", "replace") for file in front.proxy.folder.rglob("*") if file.is_file()
    )
    for address in (url, URL(link["url"], encoded=True)):
        assert address.query["s"] not in written + front.server.output


async def test_pages_of_other_origins_are_refused(front: Front) -> None:
    wire = front.wire()
    url = front.proxy.url.replace("https:", "wss:") + "/v1/ws"
    async with connect(url, ssl=wire.tls, origin="https://chat.example.org"):  # type: ignore[arg-type]
        pass
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, ssl=wire.tls, origin="https://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


async def test_a_drain_passes_through_and_the_next_server_is_found(front: Front) -> None:
    wire = front.wire()
    alice, bob = await front.person("alice", wire), await front.person("bob", wire)
    over_socket, over_polls = await front.ready(alice, "websocket"), await front.ready(bob, "longpoll")
    front.server.terminate()
    for peer in (over_socket, over_polls):
        assert (await peer.expect("reconnect"))["reason"] == "server_drain"
    assert (await over_socket.closed()).code == 1001
    assert await asyncio.to_thread(front.server.wait) == 0
    await wire.renew()
    async with wire.client.get(front.proxy.url + "/healthz") as answer:
        assert answer.status in (502, 503)

    front.server.start()
    async with asyncio.timeout(DEADLINE_S):
        while not await _answers(wire):  # noqa: ASYNC110  # the proxy finds out for itself
            await asyncio.sleep(0.05)
    again = await front.ready(alice, "websocket")
    await again.say("dm:alice:bob", "and on it goes")
    assert (await (await front.ready(bob, "longpoll")).expect("message"))["content"] == "and on it goes"


async def _answers(wire: SecureWire) -> bool:
    try:
        async with wire.client.get(wire.url + "/readyz") as answer:
            return answer.status == 200 and json.loads(await answer.text())["status"] == "ok"
    except aiohttp.ClientError:
        return False
