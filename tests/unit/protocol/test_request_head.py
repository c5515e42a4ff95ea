"""The first request head: taken strictly, or refused with a status."""

import pytest

from cooee.protocol.request_head import MAX_HEADERS, BadHead, is_hopeless, parse_head


def test_a_usual_head() -> None:
    head = parse_head(
        b"GET /v1/ws?a=1 HTTP/1.1\r\nHost: chat.example\r\nConnection: keep-alive, UPGRADE\r\nX:\r\nX: 2 "
    )
    assert (head.method, head.target, head.path, head.version) == ("GET", "/v1/ws?a=1", "/v1/ws", "1.1")
    assert head.headers == {"host": "chat.example", "connection": "keep-alive, UPGRADE", "x": ", 2"}
    assert head.has_token("connection", "upgrade")
    assert not head.has_token("connection", "up")
    assert not head.has_token("upgrade", "websocket")


def test_the_version_is_told() -> None:
    assert parse_head(b"GET / HTTP/1.0").version == "1.0"
    assert parse_head(b"GET / HTTP/1.1\r\nHost:").version == "1.1"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /",
        b"GET / HTTP/2",
        b"GET / HTTP/1.2",
        b"get / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /\x00 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon",
        b"GET / HTTP/1.1\r\nHost: x\r\n: no name",
        b"GET / HTTP/1.1\r\nHost: x\r\nname : value",
        b"GET / HTTP/1.1\r\nHost: x\r\nname: value\r\n folded",
        b"GET / HTTP/1.1\r\nHost: x\r\nname: a\nother: b",
        b"GET / HTTP/1.1\r\nHost: x\r\nname: a\rb",
        b"GET / HTTP/1.1\r\nHost: x\r\nname: a\x00b",
        b"GET / HTTP/1.1\nname: a",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: x\r\nhost: x",
    ],
)
def test_what_is_refused(head: bytes) -> None:
    with pytest.raises(BadHead) as caught:
        parse_head(head)
    assert caught.value.status == 400


def test_so_many_headers_and_no_more() -> None:
    line = b"\r\na: b"
    assert len(parse_head(b"GET / HTTP/1.1\r\nHost: x" + line * (MAX_HEADERS - 1)).headers) == 2
    with pytest.raises(BadHead) as caught:
        parse_head(b"GET / HTTP/1.1" + line * (MAX_HEADERS + 1))
    assert caught.value.status == 431


def test_a_head_that_cannot_become_one_is_known_early() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\nname: value\r\n\r\n"
    assert not any(is_hopeless(head[:length]) for length in range(1, len(head) + 1))
    for beginning in (b"\x16\x03\x01", b"get", b"\r\n", b" GET", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\na: b\n\r"):
        assert is_hopeless(beginning)
