"""The sender of webhooks over real sockets: it goes where it may, and nowhere else."""

import asyncio
import datetime as dt
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cooee.adapters.http.bounded_connector import MAX_INTERIM
from cooee.adapters.http.checked_resolver import Lookup, look_up
from cooee.adapters.http.webhook_sender import HttpWebhookSender
from cooee.domain.webhooks import WebhookSettings
from cooee.ports.webhook_sender import REASONS, Answered, NotSent
from tests.fakes.receiver import answer, receiving

OPEN: dict[str, Any] = {
    "allow_http": True,
    "allowed_networks": ("127.0.0.0/8",),
    "connect_timeout_s": 5.0,
    "timeout_s": 5.0,
}
Open = Callable[..., HttpWebhookSender]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Yield a function that opens senders; loopback is allowed unless the test says otherwise."""
    senders = []

    def open_sender(lookup: Lookup = look_up, **settings: Any) -> HttpWebhookSender:
        senders.append(HttpWebhookSender(WebhookSettings(**(OPEN | settings)), lookup))
        return senders[-1]

    yield open_sender
    for sender in senders:
        await sender.aclose()


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return a server's context with a certificate that it made itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = dt.datetime.now(dt.UTC)
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "receiver.pem"
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def refused(sender: HttpWebhookSender, url: str) -> NotSent:
    """Send, and return why that failed."""
    with pytest.raises(NotSent) as problem:
        await sender.post(url, {}, b"{}")
    assert problem.value.reason in REASONS
    return problem.value


async def test_a_request_arrives_as_it_was_given(opened: Open) -> None:
    async with receiving() as receiver:
        answered = await opened().post(receiver.url + "?a=%20b", {"webhook-id": "msg_1"}, b'{"x":1}')
    assert answered == Answered(200)
    (got,) = receiver.got
    assert (got.path, got.body, got.webhook_id) == ("/hook?a=%20b", b'{"x":1}', "msg_1")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert not {"cookie", "authorization", "accept-encoding"} & got.headers.keys()


async def test_a_redirect_is_an_answer_and_never_followed(opened: Open) -> None:
    async with receiving() as inside, receiving() as receiver:
        receiver.answers = lambda _got: answer(302, f"Location: {inside.url}", "Set-Cookie: a=b")
        sender = opened()
        assert await sender.post(receiver.url, {}, b"{}") == Answered(302)
        assert await sender.post(receiver.url, {}, b"{}") == Answered(302)
    assert not inside.got
    assert "cookie" not in receiver.got[1].headers


async def test_the_wish_to_be_left_alone_is_told_and_bounded(opened: Open) -> None:
    async with receiving(lambda _got: answer(429, "Retry-After: " + "7" * 100)) as receiver:
        answered = await opened().post(receiver.url, {}, b"{}")
    assert answered == Answered(429, "7" * 64)


async def test_no_answer_however_long_is_read(opened: Open) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 100_000
    async with receiving(lambda _got: endless) as receiver:
        assert await opened().post(receiver.url, {}, b"{}") == Answered(200)


@pytest.mark.parametrize(
    "reply",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"],
    ids=["nothing", "no HTTP", "no status", "a header without end"],
)
async def test_what_is_no_http_is_called_broken(opened: Open, reply: bytes) -> None:
    async with receiving(lambda _got: reply) as receiver:
        assert (await refused(opened(), receiver.url)).reason == "broken"


@pytest.mark.parametrize("flood", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
async def test_who_answers_that_an_answer_will_come_and_never_ends_is_broken(opened: Open, flood: bytes) -> None:
    async with receiving(lambda _got: flood * MAX_INTERIM + answer()) as receiver:
        assert await opened().post(receiver.url, {}, b"{}") == Answered(200)
    async with receiving(lambda _got: flood * (MAX_INTERIM + 1) + answer()) as receiver:
        assert (await refused(opened(), receiver.url)).reason == "broken"


async def test_who_does_not_answer_in_time_is_left(opened: Open) -> None:
    async with receiving(lambda _got: None) as receiver:
        assert (await refused(opened(timeout_s=0.2), receiver.url)).reason == "timeout"


async def test_who_takes_no_connection_is_told_as_such(opened: Open) -> None:
    async with receiving() as receiver:
        url = receiver.url
    assert (await refused(opened(), url)).reason == "connect"


async def test_who_speaks_no_tls_is_told_as_such(opened: Open) -> None:
    def shout(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 X\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await refused(opened(), f"https://127.0.0.1:{port}/")).reason == "tls"


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(opened: Open, tmp_path: Path) -> None:
    async with receiving(tls=self_signed(tmp_path)) as receiver:
        problem = await refused(opened(), receiver.url.replace("http:", "https:"))
    assert problem.reason == "tls"
    assert not receiver.got


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"])
async def test_a_closed_address_is_not_connected_to(opened: Open, host: str) -> None:
    async with receiving() as receiver:
        problem = await refused(opened(allowed_networks=()), f"http://{host}:{receiver.port}/")
    assert problem.reason == "address"
    assert not receiver.got


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"], [], ["nonsense"]],
)
async def test_a_name_with_one_closed_address_is_not_connected_to(opened: Open, addresses: list[str]) -> None:
    async with receiving() as receiver:
        sender = opened(lambda _host, _port: addresses, allowed_networks=())
        problem = await refused(sender, f"http://receiver.example:{receiver.port}/")
    assert problem.reason == "address"
    assert not receiver.got


async def test_a_name_that_does_not_exist_is_told_like_one_that_may_not_be_used(opened: Open) -> None:
    def nothing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name in the inner network")

    missing = await refused(opened(nothing), "http://inside.example/")
    closed = await refused(opened(lambda _host, _port: ["10.0.0.1"]), "http://inside.example/")
    assert str(missing) == str(closed)


async def test_a_name_that_changes_its_address_is_looked_at_again_at_each_attempt(opened: Open) -> None:
    """DNS rebinding: the first look-up is allowed, the second leads inside; only what was looked at is connected to."""
    looked: list[str] = []
    turns = itertools.chain([["127.0.0.2"]], itertools.repeat(["127.0.0.1"]))

    def rebinding(host: str, _port: int) -> list[str]:
        looked.append(host)
        return next(turns)

    async with receiving() as receiver:
        sender = opened(rebinding, allowed_networks=("127.0.0.2/32",))
        url = f"http://receiver.example:{receiver.port}/"
        assert (await refused(sender, url)).reason == "connect"  # 127.0.0.2 was connected to, where nobody listens
        assert (await refused(sender, url)).reason == "address"
    assert looked == ["receiver.example"] * 2
    assert not receiver.got


async def test_an_allowed_network_is_reached_by_name_too(opened: Open) -> None:
    async with receiving() as receiver:
        sender = opened(lambda _host, _port: ["127.0.0.1"])
        assert (await sender.post(f"http://receiver.example:{receiver.port}/", {}, b"{}")).status == 200
    assert receiver.got[0].headers["host"] == f"receiver.example:{receiver.port}"


async def test_no_proxy_is_taken_from_the_environment(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        await opened().post(receiver.url, {}, b"{}")
    assert not proxy.got
    assert len(receiver.got) == 1


async def test_an_unencrypted_url_is_refused_when_the_operator_forbids_it_later(opened: Open) -> None:
    async with receiving() as receiver:
        assert (await refused(opened(allow_http=False), receiver.url)).reason == "address"
    assert not receiver.got
