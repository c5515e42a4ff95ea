"""Passwords come from everywhere but the arguments."""

import io
import sys

import pytest

from cooee.cli.errors import USAGE, CliError
from cooee.cli.secret_input import password


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COOEE_PASSWORD", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_lines_of_standard_input_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, b"first one\r\n second \nthird")
    assert [password("P", from_stdin=True) for _ in range(3)] == ["first one", " second ", "third"]


def test_what_is_no_terminal_is_read_without_being_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, b"from a pipe\n")
    assert password("P", from_stdin=False) == "from a pipe"


def test_the_environment_comes_before_an_unasked_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOEE_PASSWORD", "from the environment")
    given(monkeypatch, b"line\n")
    assert password("P", from_stdin=False) == "from the environment"
    assert password("P", from_stdin=False, variable="") == "line"
    given(monkeypatch, b"asked for\n")
    assert password("P", from_stdin=True) == "asked for"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n"])
def test_no_password_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    given(monkeypatch, content)
    with pytest.raises(CliError) as problem:
        password("Password for alice", from_stdin=False)
    assert problem.value.exit_code == USAGE
    assert "Password for alice" in problem.value.message
