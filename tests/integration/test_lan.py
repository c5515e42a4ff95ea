"""`cooee serve --lan` as a phone in the same network, and an attacker there, meet it.

The network is this machine's own address beside loopback: what comes to it comes from it, as from another machine.
"""

import asyncio
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from cooee.app.tls.addresses import own_addresses
from cooee.app.tls.authority import PRIVATE_NETWORKS
from cooee.gateway.http.table import ROUTES
from tests.integration.harness import ServerProcess
from tests.integration.people import WAIT_S, House, new_user
from tests.integration.terminals import Shell, Terminal

_HERE = [
    str(address)
    for address in own_addresses()
    if address.version == 4 and any(address in network for network in PRIVATE_NETWORKS)
]
pytestmark = pytest.mark.skipif(not _HERE, reason="this machine is in no private network")
SETTINGS = {"LAN": "true", "LAN_PORT": "0", "TLS_CHECK_S": "0.1"}
PATIENCE_S = 30.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NewServer = Callable[..., ServerProcess]


class Lan:
    """What is printed, and what follows from it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.out = self._greeting()
        self.host = _HERE[0]
        self.secure = self._found(rf"(https://{re.escape(self.host)}:\d+)$")
        self.trust = self._found(r"(http://\S+/trust)$")
        self.plain = self.trust.removesuffix("/trust")
        self.fingerprint = self._found(r"fingerprint there:  (\S+)$")

    def _greeting(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while "Stop with Ctrl-C." not in (out := self.server.out.read_text("utf-8")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return out

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.out, re.MULTILINE)
        assert match, self.out
        return match[1]

    async def get(self, url: str, **headers: str) -> tuple[int, bytes]:
        """Ask without TLS."""
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.read()

    async def authority(self, folder: Path) -> Path:
        """Fetch what is to be trusted, as a person would."""
        _, pem = await self.get(f"{self.plain}/trust/ca.pem")
        path = folder / "cooee-ca.pem"
        path.write_bytes(pem)
        return path

    async def raw(self, request: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
        """Send bytes as they are, and return all that comes back."""
        url = self.secure if tls else self.plain
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(self.host, port, ssl=tls)
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read(-1)
        writer.close()
        return answer


@pytest.fixture(scope="module")
def lan(server: ServerProcess) -> Lan:
    return Lan(server)


@pytest.fixture
async def ca_file(lan: Lan, tmp_path: Path) -> Path:
    return await lan.authority(tmp_path)


# --- a phone in the same network --------------------------------------------------------------------------------------


async def test_what_is_printed_leads_to_trust_and_then_to_https(lan: Lan, ca_file: Path) -> None:
    status, page = await lan.get(lan.trust)
    assert status == 200
    assert lan.fingerprint in page.decode().replace("<wbr>", "")
    assert f"href='{lan.secure}/'" in page.decode()
    context = ssl.create_default_context(cafile=ca_file)
    der = context.get_ca_certs(binary_form=True)[-1]
    assert hashlib.sha256(der).hexdigest().upper() == lan.fingerprint.replace(":", "")
    assert (await lan.get(f"{lan.plain}/trust/ca.crt"))[1] == der
    only = ssl.create_default_context(cadata=der)
    port = lan.secure.rpartition(":")[2]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=only)) as http:
        for url in (lan.secure, f"https://localhost:{port}", f"https://127.0.0.1:{port}"):
            async with http.get(f"{url}/readyz") as answer:
                assert answer.status == 200
        async with http.get(f"{lan.secure}/trust") as answer:
            assert "came over https" in await answer.text()


async def test_people_in_the_network_talk(
    lan: Lan, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("COOEE_CA_FILE", str(ca_file))
    alice_id, bob_id = await new_user(lan.secure, "alice"), await new_user(lan.server.url, "bob")
    async with House(tmp_path / "people", transport) as house:
        alice = await house.enter(lan.secure, alice_id)
        bob = await house.enter(lan.server.url, bob_id)  # on the machine itself, as always
        sent = await alice.client.send_text(bob_id, "from the sofa")
        assert (await bob.reads("from the sofa")).sender_id == alice_id
        await alice.client.wait_for_delivered(sent.client_message_id, WAIT_S)
        assert alice.client.connection.transport == transport


def test_the_command_line_in_the_network(lan: Lan, tmp_path: Path) -> None:
    at_home = Shell(tmp_path / "home", lan.plain)
    (refusal,) = at_home.json("register", "eve", "--password-stdin", given="correct horse\n", code=1)
    assert refusal["code"] == "https_required"
    assert lan.secure in refusal["message"]
    trusting = Shell(tmp_path / "home", lan.secure)
    trusting.environment["COOEE_CA_FILE"] = str(asyncio.run(lan.authority(tmp_path)))
    user = trusting.register("alice")
    assert user in trusting("whoami").stdout


def test_a_terminal_shows_a_code(tmp_path: Path) -> None:
    data, free = tmp_path / "data", "0"
    terminal = Terminal(("serve", "--lan", "--port", free, "--data-dir", str(data)), {"COOEE_LAN_PORT": free})
    try:
        terminal.expect("Stop with Ctrl-C.")
        assert "▀" in terminal.text
        assert "Compare the fingerprint there" in terminal.text
        terminal.type("\x03")
        assert terminal.wait() == 0
    finally:
        terminal.end()


def test_a_file_gets_no_code(lan: Lan) -> None:
    assert "▀" not in lan.out
    assert "\x1b" not in lan.out


# --- an attacker in the same network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_plain_http_gets_reasons_only(lan: Lan, method: str) -> None:
    paths = {re.sub(r"{\w+}", "x", route.path) for route in ROUTES} - {"/healthz", "/readyz"}
    async with aiohttp.ClientSession() as http:
        for path in sorted(paths | {"/v1/ws", "/v1/admin/users", "/v1/admin/drain", "/admin.sock"}):
            for accept in ("application/json", "text/html"):
                headers = {"accept": accept, "authorization": "Bearer secret"}
                async with http.request(method, lan.plain + path, headers=headers, allow_redirects=False) as answer:
                    body = await answer.text()
                    assert (path, answer.status) == (path, 403)
                    assert "location" not in answer.headers
                    assert "secret" not in body
                    if method != "HEAD":
                        assert lan.secure in body


async def test_metrics_and_administration_are_nobodys_from_here(lan: Lan, ca_file: Path) -> None:
    only = ssl.create_default_context(cafile=ca_file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=only)) as http:
        for path in ("/metrics", "/v1/admin/users", "/v1/admin/stats", "/v1/admin/drain", "/v1/admin/invites"):
            for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "127.0.0.1"}, {"X-Real-IP": "::1"}):
                for method in ("GET", "POST"):
                    async with http.request(method, lan.secure + path, headers=headers) as answer:
                        assert answer.status in (404, 405)
                        assert "cooee_" not in await answer.text()
    assert (await lan.get(f"{lan.server.url}/metrics"))[0] == 200


async def test_nobody_is_believed_who_says_that_he_is_this_machine(lan: Lan) -> None:
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Proto": "https"}, {"X-Real-IP": "127.0.0.1"}):
        status, _ = await lan.get(f"{lan.plain}/v1/users/x", **headers)
        assert status == 403


@pytest.mark.parametrize("path", ["/", "/trust", "/v1/me"])
async def test_the_host_header_goes_nowhere(lan: Lan, path: str) -> None:
    for host in (b"evil.example", b"evil.example:8443", b"evil.example\\@x", b"[::1]evil"):
        for accept in (b"text/html", b"*/*"):
            request = b"GET %b HTTP/1.1\r\nHost: %b\r\nAccept: %b\r\nConnection: close\r\n\r\n"
            assert b"evil" not in await lan.raw(request % (path.encode(), host, accept))


async def test_an_absolute_target_leads_nowhere_else(lan: Lan) -> None:
    for target in (b"http://evil.example/trust", b"//evil.example/trust", b"/trust?to=http://evil.example"):
        answer = await lan.raw(b"GET %b HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n" % target)
        assert b"evil" not in answer
        assert b"\r\nlocation:" not in answer.lower()


async def test_no_key_leaves_the_machine(lan: Lan, ca_file: Path) -> None:
    secrets = [path.read_bytes() for path in lan.server.data.glob("lan-*.key")]
    bodies = [b"".join(secret.splitlines()[1:-1]) for secret in secrets]
    assert len(bodies) == 2
    targets = [f"{prefix}{name}" for prefix in ("/trust/", "/", "/trust/../", "/static/") for name in _WANTED]
    context = ssl.create_default_context(cafile=ca_file)
    for tls in (None, context):
        for target in (*targets, "/trust", "/trust/ca.crt", "/trust/ca.pem", "/trust/cooee.mobileconfig"):
            request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            answer = await lan.raw(request, tls=tls)
            assert b"PRIVATE KEY" not in answer
            assert not any(body in answer.replace(b"\n", b"") for body in bodies)
            expected = (
                b"HTTP/1.1 200" if target in ("/trust", *(f"/trust/{name}" for name in _FILES)) else b"HTTP/1.1 40"
            )
            assert answer.startswith(expected), target


_WANTED = (
    "lan-ca.key",
    "lan-server.key",
    "ca.key",
    "cooee.db",
    "../lan-ca.key",
    "..%2flan-ca.key",
    "%2e%2e/lan-ca.key",
    "....//lan-ca.key",
    "..\\lan-ca.key",
    "ca.crt/../../lan-ca.key",
    "/lan-ca.key",
    "ca.pem%00.key",
)
_FILES = ("ca.crt", "ca.pem", "cooee.mobileconfig")


async def test_websockets_are_refused_without_tls(lan: Lan) -> None:
    handshake = (
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = await lan.raw(handshake)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"https_required" in answer


# --- starting again ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[ServerProcess]:
    """A local network's server of the test's own."""
    with ServerProcess(tmp_path / "server", SETTINGS) as server:
        yield server


def test_a_machine_that_moves_tells_its_new_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the certificate then, and nobody has to trust anything anew."""
    places = tmp_path / "addresses"
    places.write_text("192.168.7.7")
    monkeypatch.setenv("MOVING_ADDRESSES", str(places))
    with ServerProcess(tmp_path / "server", SETTINGS, program=("-m", "tests.integration.moving")) as server:
        port = int(_wait_for(server, r"https://192\.168\.7\.7:(\d+)\n"))
        authority = (server.data / "lan-ca.pem").read_text()
        certificate = (server.data / "lan-server.pem").read_bytes()
        places.write_text("192.168.8.8 fd00::8")
        _wait_for(server, rf"(https://192\.168\.8\.8:{port})\n")
        _wait_for(server, rf"(https://\[fd00::8\]:{port})\n")
        assert (server.data / "lan-server.pem").read_bytes() != certificate
        context = ssl.create_default_context(cadata=authority)
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), PATIENCE_S), server_hostname="192.168.8.8"
        ) as tls:
            assert tls.version() == "TLSv1.3"


def _wait_for(server: ServerProcess, pattern: str) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while (match := re.search(pattern, server.out.read_text("utf-8"))) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return match[1]


async def test_the_authority_stays_and_the_backup_has_it(fresh: ServerProcess, tmp_path: Path) -> None:
    before = Lan(fresh).fingerprint
    shell = Shell(tmp_path / "home", fresh.url)
    shell("admin", "--data-dir", str(fresh.data), "backup", str(tmp_path / "backup.tar"))
    fresh.stop()
    fresh.start()
    assert Lan(fresh).fingerprint == before
    fresh.stop()
    shell("admin", "restore", str(tmp_path / "backup.tar"), "--data-dir", str(tmp_path / "restored"))
    for name in ("lan-ca.pem", "lan-ca.key"):
        assert (tmp_path / "restored" / name).read_bytes() == (fresh.data / name).read_bytes()
        assert (tmp_path / "restored" / name).stat().st_mode & 0o777 == 0o600
