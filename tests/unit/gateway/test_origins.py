"""Whose pages may use the server."""

import pytest

from cooee.gateway.origins import Origins


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://LOCALHOST:8080", "localhost:8080", True),
        ("http://chat.example", "chat.example:80", True),
        ("https://chat.example", "chat.example", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://localhost:8081", "localhost:8080", False),
        ("http://evil.example", "localhost:8080", False),
        ("http://user@localhost:8080", "localhost:8080", False),
        ("ws://localhost:8080", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("", "", False),
        ("http://", "", False),
        ("http://localhost:99999", "localhost:99999", False),
        ("http://[::1", "[::1", False),
    ],
)
def test_without_a_public_url_the_asked_host_counts(origin: str, host: str, allowed: bool) -> None:
    assert Origins().allows(origin, host) is allowed


def test_with_a_public_url_only_it_and_the_named_ones_count() -> None:
    origins = Origins("https://chat.example/", ("https://web.example", "http://localhost:5173"))
    assert origins.allows("https://chat.example", "whatever")
    assert origins.allows("https://web.example:443", "whatever")
    assert origins.allows("http://localhost:5173", "whatever")
    assert not origins.allows("http://web.example", "web.example")
    assert not origins.allows("http://localhost:8080", "localhost:8080")
