"""The HTTP API of a real server over real sockets."""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.harness import ServerProcess

PASSWORD = "correct horse"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as running:
        yield running


@pytest.fixture
async def http(server: ServerProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(30)) as session:
        yield session


async def person(http: aiohttp.ClientSession, user_id: str) -> dict[str, str]:
    """Register and log in; return the headers that prove it."""
    async with http.post("/v1/accounts", json={"userId": user_id, "password": PASSWORD}) as reply:
        assert reply.status == 201, await reply.text()
    return await log_in(http, user_id)


async def log_in(http: aiohttp.ClientSession, user_id: str) -> dict[str, str]:
    body = {"userId": user_id, "password": PASSWORD, "device": {"name": "test", "type": "cli"}}
    async with http.post("/v1/sessions", json=body) as reply:
        assert reply.status == 201, await reply.text()
        return {"authorization": f"Bearer {(await reply.json())['token']}"}


async def code_of(reply: aiohttp.ClientResponse) -> str:
    return str((await reply.json())["error"]["code"])


async def test_many_use_it_at_once_and_nothing_is_lost_by_a_crash(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    people = await asyncio.gather(*(person(http, f"user{n}") for n in range(20)))

    async def send(number: int) -> None:
        body = {"clientMessageId": f"m{number}", "to": "user0", "contentType": "text", "content": f"text {number}"}
        async with http.post("/v1/messages", json=body, headers=people[number]) as reply:
            assert reply.status == 200, await reply.text()

    await asyncio.gather(*(send(number) for number in range(1, 20)))
    server.kill9()
    server.start()
    async with http.get("/v1/conversations?limit=50", headers=people[0]) as reply:
        listed = (await reply.json())["items"]
    assert sorted(each["title"] for each in listed) == sorted(f"user{n}" for n in range(1, 20))
    assert all(each["unread"] == 1 for each in listed)


async def test_an_export_of_many_messages_is_one_document(http: aiohttp.ClientSession) -> None:
    alice = await person(http, "alice")
    text = "x" * 1000

    async def note(number: int) -> None:
        body = {"clientMessageId": f"m{number}", "to": "alice", "contentType": "text", "content": f"{number} {text}"}
        async with http.post("/v1/messages", json=body, headers=alice) as reply:
            assert reply.status == 200, await reply.text()

    await asyncio.gather(*(note(number) for number in range(500)))
    async with http.get("/v1/me/export", headers=alice) as reply:
        assert reply.headers["transfer-encoding"] == "chunked"
        export = await reply.json()
    (conversation,) = export["conversations"]
    assert [message["sequenceNumber"] for message in conversation["messages"]] == list(range(1, 501))


async def test_a_body_without_end_is_refused_and_the_server_goes_on(http: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    try:
        async with http.post("/v1/accounts", data=endless(), headers={"content-type": "application/json"}) as reply:
            assert reply.status == 413
            assert await code_of(reply) == "too_large"
    except aiohttp.ClientConnectionError:
        pass  # closed while we were still sending: refused all the same
    async with http.get("/healthz") as reply:
        assert reply.status == 200


async def test_a_revoked_device_is_put_out_of_its_socket(http: aiohttp.ClientSession) -> None:
    keeper, other = await person(http, "alice"), await log_in(http, "alice")
    async with http.ws_connect("/v1/ws") as socket:
        await socket.send_json({"type": "hello", "token": other["authorization"].removeprefix("Bearer ")})
        welcome = await socket.receive_json(timeout=10)
        assert welcome["type"] == "welcome"
        async with http.delete(f"/v1/devices/{welcome['deviceId']}", headers=keeper) as reply:
            assert reply.status == 204
        while (message := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.close_code == 4003
    async with http.get("/v1/me", headers=other) as reply:
        assert (reply.status, await code_of(reply)) == (401, "unauthorized")


async def test_metrics_are_served_here_and_not_through_a_proxy(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as reply:
        assert reply.status == 200
        assert "cooee_sessions" in await reply.text()
    async with http.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"}) as reply:
        assert (reply.status, await code_of(reply)) == (404, "not_found")


async def test_administration_is_behind_a_file_that_only_its_owner_opens(server: ServerProcess) -> None:
    path = server.data / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with aiohttp.ClientSession("http://server", connector=aiohttp.UnixConnector(str(path))) as admin:
        async with admin.post("/v1/admin/users", json={"userId": "alice"}) as reply:
            assert reply.status == 201
            made: Any = await reply.json()
        async with admin.get("/v1/admin/users") as reply:
            assert [each["userId"] for each in (await reply.json())["items"]] == ["alice"]
        async with admin.get("/v1/admin/stats") as reply:
            assert (await reply.json())["url"] == server.url
    async with aiohttp.ClientSession(server.url) as http:
        body = {"userId": "alice", "password": made["password"], "device": {"name": "n", "type": "cli"}}
        async with http.post("/v1/sessions", json=body) as reply:
            assert reply.status == 201
        async with http.get("/v1/admin/users") as reply:
            assert reply.status == 404


HEADS = (
    b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://elsewhere/v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
    b"BREW /v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
)


async def test_crooked_requests_are_refused_and_the_server_goes_on(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    for head in HEADS:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(65_536), 20)
        writer.close()
        assert answer == b"" or answer.split(b" ")[1][:1] == b"4", (head, answer)
        assert b"Traceback" not in answer
        async with http.get("/healthz") as reply:
            assert reply.status == 200
