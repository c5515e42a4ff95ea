"""What stands in the log of a failure: where it was, and nothing that anybody wrote."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from cooee.app.config import LogConfig
from cooee.app.logs import configure_logs


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail(secret: str) -> None:
    try:
        raise ValueError(f"no number: {secret}")
    except ValueError as problem:
        raise RuntimeError(secret) from problem


@pytest.mark.parametrize("stream", [io.StringIO, _Terminal])
@pytest.mark.parametrize("form", ["auto", "console", "json"])
def test_a_failure_is_told_by_its_type_and_place_alone(
    stream: type[io.StringIO], form: Literal["auto", "console", "json"]
) -> None:
    out = stream()
    configure_logs(LogConfig(format=form), out)
    try:
        fail("hello bob")
    except RuntimeError:
        structlog.get_logger("ours").exception("ours failed", conversation="dm:alice:bob")
        logging.getLogger("theirs").exception("theirs failed")
    told = out.getvalue()
    for expected in ("ours failed", "theirs failed", "RuntimeError", "caused by ValueError", "test_logs.py", "in fail"):
        assert expected in told
    assert "hello bob" not in told


def test_what_the_system_says_is_told() -> None:
    out = io.StringIO()
    configure_logs(LogConfig(format="json"), out)
    try:
        raise OSError(28, "No space left on device", "/of/somebody")
    except OSError:
        structlog.get_logger("ours").exception("it failed")
    told = json.loads(out.getvalue())
    assert told["exception"].startswith("OSError: No space left on device\n")
    assert "/of/somebody" not in told["exception"]


def test_libraries_that_log_requests_are_silent_about_them() -> None:
    out = io.StringIO()
    configure_logs(LogConfig(level="debug", format="json"), out)
    for library in ("httpx", "httpcore.http2", "hpack.hpack", "asyncio"):
        logging.getLogger(library).info("POST https://push.example/3/device/secret")
        logging.getLogger(library).debug("authorization: bearer secret")
        logging.getLogger(library).warning("something is wrong")
    assert "secret" not in out.getvalue()
    assert out.getvalue().count("something is wrong") == 4
