"""The real server with a certificate of its operator's: who talks over it, and how it gets another."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import websockets

from cooee.app.tls.authority import certificate_pem
from cooee.app.tls.pair import Pair
from cooee.client import Api, ConnectionFailed, ConnectionState, Message, register
from tests.fakes.certificates import authority, trusting, write_pair
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.people import PASSWORD as SDK_PASSWORD
from tests.integration.people import WAIT_S, House, new_user
from tests.integration.terminals import PASSWORD, Shell, a_name

NewServer = Callable[..., ServerProcess]
PATIENCE_S = 30.0
OFTEN = "0.05"
HARDLY_EVER = "3600"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    (tmp_path / "tls").mkdir()
    return write_pair(tmp_path / "tls")


@pytest.fixture
def ca_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authority's certificate, which every client of the test trusts by the environment."""
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate_pem(authority().certificate))
    monkeypatch.setenv("COOEE_CA_FILE", str(path))
    return path


@pytest.fixture
def encrypted(new_server: NewServer, pair: Pair) -> Callable[..., ServerProcess]:
    """Return a function that starts a server with the certificate."""

    def start(**settings: str) -> ServerProcess:
        return new_server(TLS_CERT=str(pair.certificate), TLS_KEY=str(pair.key), **settings)

    return start


def address(server: ServerProcess) -> tuple[str, int]:
    return "127.0.0.1", int(server.url.rpartition(":")[2])


def serial(server: ServerProcess) -> str:
    """Return which certificate a new connection gets."""
    plain = socket.create_connection(address(server), PATIENCE_S)
    with trusting().wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        found = tls.getpeercert()
    assert found
    return str(found["serialNumber"])


def until(check: Callable[[], object]) -> None:
    """Wait until the server, which tells nobody, has done it."""
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def warnings(server: ServerProcess) -> list[str]:
    return [entry["event"] for entry in server.entries() if entry["level"] == "warning"]


# --- who talks --------------------------------------------------------------------------------------------------------


async def test_people_talk_over_tls(
    encrypted: Callable[..., ServerProcess], ca_file: Path, pair: Pair, tmp_path: Path, transport: str
) -> None:
    server = encrypted()
    assert server.url.startswith("https://")
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path / "people", transport) as house:
        alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
        sent = await alice.client.send_text(bob_id, "x" * 20_000)
        assert (await bob.reads("x" * 20_000)).sender_id == alice_id
        await alice.client.wait_for_delivered(sent.client_message_id, WAIT_S)
        assert alice.client.connection.transport == transport
        await alice.client.send_file(bob_id, pair.certificate)
        message = await bob.hears(Message, lambda message: message.media)
        await bob.client.download(message, tmp_path / "came")
        assert (tmp_path / "came").read_bytes() == pair.certificate.read_bytes()


async def test_an_authority_is_named_to_the_sdk_or_not_trusted(
    encrypted: Callable[..., ServerProcess], ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = encrypted()
    monkeypatch.delenv("COOEE_CA_FILE")
    with pytest.raises(ConnectionFailed, match=r"not trusted.*COOEE_CA_FILE"):
        await register(server.url, a_name("eve"), PASSWORD)
    await register(server.url, a_name("eve"), PASSWORD, ca_file=ca_file)
    with pytest.raises(ConnectionFailed, match="cannot be read"):
        await register(server.url, a_name("eve"), PASSWORD, ca_file="missing.pem")
    (ca_file.parent / "empty.pem").write_bytes(b"")
    with pytest.raises(ConnectionFailed, match="no certificate"):
        await register(server.url, a_name("eve"), PASSWORD, ca_file=ca_file.parent / "empty.pem")


def test_the_command_line_talks_over_tls(
    encrypted: Callable[..., ServerProcess], ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = encrypted()
    shell = Shell(tmp_path / "home", server.url)
    user = a_name("alice")
    (refusal,) = shell.json("register", user, "--password-stdin", given=f"{PASSWORD}\n", code=3)
    assert refusal["code"] == "unreachable"
    assert "--ca-file" in refusal["message"]
    shell("register", user, "--password-stdin", "--ca-file", str(ca_file), given=f"{PASSWORD}\n")
    monkeypatch.delenv("COOEE_CA_FILE")  # where the option put it, in this process
    trusting_shell = Shell(shell.home, server.url)
    trusting_shell.environment["COOEE_CA_FILE"] = str(ca_file)
    bob = trusting_shell.register("bob")
    trusting_shell("--as", user, "send", bob, "hello")
    assert "hello" in trusting_shell("--as", bob, "history", user).stdout
    assert "hello" in trusting_shell("--as", bob, "listen", "--count", "1").stdout


async def test_whoever_comes_without_tls_hears_it_on_loopback_only(encrypted: Callable[..., ServerProcess]) -> None:
    server = encrypted()
    plain = server.url.replace("https:", "http:")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{plain}/metrics") as answer:
            text = await answer.text()
            assert answer.status == 200
            assert "cooee_tls_certificate_expiry_seconds 3.4" in text
        async with http.get(f"{plain}/v1/me", headers={"X-Forwarded-For": "192.168.1.9"}) as answer:
            assert answer.status == 403
            error = (await answer.json())["error"]
            assert error["code"] == "https_required"
            assert "https://localhost:" in error["message"]


def test_noise_fills_no_log(encrypted: Callable[..., ServerProcess]) -> None:
    server = encrypted()
    before = len(server.entries())
    for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x16\x03\x01\x00\x02hi", bytes(100)) * 20:
        with socket.create_connection(address(server), PATIENCE_S) as noisy:
            noisy.sendall(junk)
    strangers = ssl.create_default_context()
    for _ in range(20):
        with socket.create_connection(address(server), PATIENCE_S) as plain, pytest.raises(ssl.SSLError):
            strangers.wrap_socket(plain, server_hostname="127.0.0.1")
    serial(server)
    assert len(server.entries()) == before


async def test_a_drain_lets_encrypted_clients_leave(encrypted: Callable[..., ServerProcess], ca_file: Path) -> None:
    server = encrypted()
    user = await new_user(server.url, "alice")
    async with Api(server.url) as api:
        token = (await api.log_in(user, SDK_PASSWORD, device_name="raw")).token
    url = server.url.replace("https:", "wss:") + "/v1/ws"
    async with websockets.connect(url, ssl=trusting()) as peer:
        await peer.send(json.dumps({"type": "hello", "token": token, "client": "raw/1"}))
        heard = [json.loads(await peer.recv())["type"]]
        server.terminate()
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                heard.append(json.loads(await peer.recv())["type"])
        assert (heard[0], peer.close_code) == ("welcome", 1001)
    assert await asyncio.to_thread(server.wait) == 0


# --- another certificate ----------------------------------------------------------------------------------------------


def test_files_that_change_are_read_anew(encrypted: Callable[..., ServerProcess], pair: Pair) -> None:
    server = encrypted(TLS_CHECK_S=OFTEN)
    first = serial(server)
    write_pair(pair.certificate.parent)
    until(lambda: serial(server) != first)
    assert "another certificate is in force" in [entry["event"] for entry in server.entries()]


def test_sighup_reads_them_at_once(encrypted: Callable[..., ServerProcess], pair: Pair) -> None:
    server = encrypted(TLS_CHECK_S=HARDLY_EVER)
    first = serial(server)
    write_pair(pair.certificate.parent)
    assert serial(server) == first
    server.signal(signal.SIGHUP)
    until(lambda: serial(server) != first)


@pytest.mark.parametrize("field", [0, 1])
def test_a_broken_pair_is_refused_and_the_old_one_stays(
    encrypted: Callable[..., ServerProcess], pair: Pair, tmp_path: Path, field: int
) -> None:
    server = encrypted(TLS_CHECK_S=OFTEN)
    first = serial(server)
    (tmp_path / "other").mkdir()
    other = write_pair(tmp_path / "other")
    for content in (b"half", other[field].read_bytes()):  # broken, and then not each other's
        count = len(warnings(server))
        pair[field].write_bytes(content)
        until(lambda count=count: len(warnings(server)) > count)  # type: ignore[misc]
        assert serial(server) == first
    pair[1 - field].write_bytes(other[1 - field].read_bytes())
    until(lambda: serial(server) != first)


async def test_under_load_nothing_is_lost_and_nobody_is_disconnected(
    encrypted: Callable[..., ServerProcess], ca_file: Path, pair: Pair, tmp_path: Path
) -> None:
    server = encrypted(TLS_CHECK_S=OFTEN)
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path / "people", "websocket") as house:
        alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
        seen = {await asyncio.to_thread(serial, server)}
        number = 0
        while len(seen) < 4:
            for _ in range(10):
                await alice.client.send_text(bob_id, str(number))
                number += 1
            if number % 50 == 0:
                write_pair(pair.certificate.parent)
            seen.add(await asyncio.to_thread(serial, server))
        chat = alice.client.conversation_id(bob_id)
        await bob.reads(str(number - 1))
        assert [message.text for message in bob.messages(chat)] == [str(one) for one in range(number)]
        for person in (alice, bob):
            states = [event.state for event in person.told if isinstance(event, ConnectionState)]
            assert set(states) <= {"connecting", "catching_up", "online"}
            assert states.count("connecting") <= 1


# --- what cannot be used ----------------------------------------------------------------------------------------------


def test_a_pair_that_cannot_be_used_does_not_start(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_pair(tmp_path / "other")
    for key, words in ((other.key, "is not the key of"), (tmp_path / "missing.key", "cannot be read")):
        with pytest.raises(ServerEnded, match=words) as ended:
            ServerProcess(tmp_path, {"TLS_CERT": str(pair.certificate), "TLS_KEY": str(key)}).start()
        assert ended.value.code == 1
    with pytest.raises(ServerEnded, match=r"server\.tls_key is not"):
        ServerProcess(tmp_path, {"TLS_CERT": str(pair.certificate)}).start()


def test_a_key_that_others_may_read_is_told_by_log_and_doctor(
    encrypted: Callable[..., ServerProcess], pair: Pair, tmp_path: Path
) -> None:
    pair.key.chmod(0o644)
    server = encrypted()
    assert warnings(server) == ["the key of the certificate is not private"]
    shell = Shell(tmp_path / "home", server.url)
    shell.environment |= {"COOEE_TLS_CERT": str(pair.certificate), "COOEE_TLS_KEY": str(pair.key)}
    found = shell.json("admin", "--data-dir", str(server.data), "doctor")
    about = [(finding["level"], finding["text"]) for finding in found if finding["check"] == "certificate"]
    assert [level for level, _ in about] == ["warning", "ok"]
    assert "0644" in about[0][1]


def test_plain_http_to_a_network_is_warned_of(new_server: NewServer) -> None:
    assert len([event for event in warnings(new_server(HOST="0.0.0.0")) if "plain http" in event]) == 1


def test_behind_a_trusted_proxy_it_is_not(new_server: NewServer) -> None:
    assert warnings(new_server(HOST="0.0.0.0", TRUSTED_PROXIES="10.0.0.0/8")) == []
