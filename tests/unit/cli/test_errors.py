"""However a command fails: one sentence, an exit code, no traceback."""

import errno
import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import Result

from cooee.cli import errors as cli_errors
from cooee.cli.errors import NOT_LOGGED_IN, REFUSED, UNREACHABLE, USAGE, CliError, explained
from cooee.cli.main import cli
from cooee.client import errors
from cooee.domain.errors import CooeeError, ErrorCode

Cooee = Callable[..., Result]

PROBLEMS: list[tuple[Exception, int, str]] = [
    *[(errors.ServerError(code, "it is refused"), REFUSED, code) for code in ErrorCode],
    (errors.NotLoggedIn(), NOT_LOGGED_IN, "unauthorized"),
    (errors.ConnectionFailed("http://x cannot be reached"), UNREACHABLE, "unreachable"),
    (errors.Stopped(4003, "log in again"), NOT_LOGGED_IN, "unauthorized"),
    (errors.SendFailed("blocked", "no"), REFUSED, "blocked"),
    (errors.SendFailed("device_changed", "no"), REFUSED, "device_changed"),
    (errors.DownloadFailed("what came is something else"), REFUSED, "state"),
    (errors.StoreLocked("in use"), REFUSED, "store"),
    (errors.StoreMismatch("somebody else's"), REFUSED, "store"),
    (errors.StoreUnusable("damaged"), REFUSED, "store"),
    *[
        (kind("as it says"), REFUSED, "store")
        for kind in (
            errors.StoreKeyError,
            errors.StoreLockedByPassphrase,
            errors.WrongPassphrase,
            errors.StoreKeyElsewhere,
            errors.WrongStoreKey,
            errors.WrongProtection,
            errors.StoreKeyLost,
            errors.BackupUnusable,
        )
    ],
    (CooeeError(ErrorCode.NOT_FOUND, "the account was not found"), REFUSED, "not_found"),
    (TimeoutError(), UNREACHABLE, "timeout"),
    (PermissionError(13, "Permission denied", "/a/file"), REFUSED, "state"),
    (click.UsageError("no such option"), USAGE, "usage"),
    (ExceptionGroup("some", [errors.ConnectionFailed("gone")]), UNREACHABLE, "unreachable"),
    (ZeroDivisionError("division by zero"), REFUSED, "defect"),
    (CliError("said already", 3, code="x"), 3, "x"),
]


@pytest.mark.parametrize(("problem", "exit_code", "code"), PROBLEMS, ids=lambda value: str(value)[:30])
def test_every_problem_is_a_sentence_with_a_code(problem: Exception, exit_code: int, code: str) -> None:
    told = explained(problem)
    assert (told.exit_code, told.code) == (exit_code, code)
    assert told.message
    assert "\n" not in told.message


def test_every_error_class_of_the_sdk_is_explained() -> None:
    known = {type(problem) for problem, _, _ in PROBLEMS}
    bases = {errors.CooeeClientError, errors.StoreError}
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.CooeeClientError)
    }
    assert classes - bases <= known


def test_a_wait_is_named() -> None:
    told = explained(errors.ServerError("rate_limited", "too many requests", retryable=True, retry_after_ms=4_200))
    assert told.message == "Too many requests; again possible in 4 s. Wait a little, then try again."
    assert told.extra == {"retryAfterMs": 4200}


def test_the_http_librarys_words_are_left_out() -> None:
    text = "http://x:1 cannot be reached (Cannot connect to host x:1 ssl:default [Connect call failed ('x', 1)])"
    assert explained(errors.ConnectionFailed(text)).message == "http://x:1 cannot be reached (no connection to x:1)."


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        (errors.ServerError("not_found", "the user was not found"), "cooee users search"),
        (errors.ServerError("not_found", "the message was not found"), "cooee history"),
        (errors.ServerError("not_found", "the device was not found"), "cooee devices"),
        (errors.ServerError("not_found", "the page was not found"), "server's URL"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), "/a/file: No space left on device; make room"),
        (OSError(errno.EACCES, "Permission denied", "/a/file"), "may not"),
        (errors.NotLoggedIn(), "cooee login NAME"),
    ],
)
def test_what_to_do_next_is_said(problem: Exception, advice: str) -> None:
    assert advice in explained(problem).message


def test_who_must_log_in_again_is_told_how() -> None:
    told = explained(errors.NotLoggedIn("the token is not valid"), again="cooee --as desk login alice")
    assert told.message == "The token is not valid (cooee --as desk login alice)."


@pytest.mark.parametrize(("problem", "exit_code", "code"), PROBLEMS, ids=lambda value: str(value)[:30])
def test_no_problem_ends_in_a_traceback(
    cooee: Cooee, monkeypatch: pytest.MonkeyPatch, problem: Exception, exit_code: int, code: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise problem

    command = cli.get_command(click.Context(cli), "outbox")
    assert command is not None
    monkeypatch.setattr(command, "invoke", fail)
    plain = cooee("outbox")
    assert plain.exit_code == exit_code
    assert plain.stdout == ""
    assert plain.stderr.strip()
    as_json = cooee("outbox", "--json")
    if isinstance(problem, click.UsageError):  # raised before the option after the command was read
        return
    told = json.loads(cooee("--json", "outbox").stderr)
    assert (told["type"], told["exitCode"], told["code"]) == ("error", exit_code, code)
    assert as_json.exit_code == exit_code


def test_the_exit_codes_are_those_of_the_table() -> None:
    table = cli_errors.__doc__ or ""
    for code in (0, REFUSED, USAGE, UNREACHABLE, NOT_LOGGED_IN, cli_errors.INTERRUPTED):
        assert f"| {code} |" in table


def test_ctrl_c_ends_with_130(cooee: Cooee, monkeypatch: pytest.MonkeyPatch) -> None:
    command = cli.get_command(click.Context(cli), "outbox")
    assert command is not None
    for end in (KeyboardInterrupt(), click.Abort()):

        def fail(*_: Any, end: BaseException = end, **__: Any) -> None:
            raise end

        monkeypatch.setattr(command, "invoke", fail)
        assert cooee("outbox").exit_code == 130
