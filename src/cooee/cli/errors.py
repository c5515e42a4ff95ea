"""How a command ends: the exit codes, and one sentence for everything that can go wrong.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the server refused, or the state of things does not allow it |
| 2 | wrong usage |
| 3 | the server cannot be reached |
| 4 | not logged in |
| 130 | ended by Ctrl-C |
"""

import errno
import json
import re
import sys
from typing import IO, Any

import click

from cooee.client import errors as client
from cooee.domain.errors import CooeeError, ErrorCode

REFUSED = 1
USAGE = 2
UNREACHABLE = 3
NOT_LOGGED_IN = 4
INTERRUPTED = 130

_CANNOT_CONNECT = re.compile(r"Cannot connect to host (\S+) ssl:\S+ \[.*?\]")
_NEXT = {
    ErrorCode.BLOCKED: "`cooee blocks` lists whom you block.",
    ErrorCode.NOT_A_MEMBER: "`cooee conversations` lists the ones you are in.",
    ErrorCode.RATE_LIMITED: "Wait a little, then try again.",
    ErrorCode.UNAVAILABLE: "Try again in a moment.",
    ErrorCode.INTERNAL: "Try again; if it stays, the server's log says more.",
    ErrorCode.TOO_LARGE: "Make it smaller.",
}
_WHERE_TO_LOOK = {
    "user": "`cooee users search NAME` finds people.",
    "message": "`cooee history` shows the numbers in front.",
    "device": "`cooee devices` lists yours.",
    "page": "Is that the server's URL? `cooee accounts` shows which one is used.",
}
"""What to do when something was not found."""

_OS_ADVICE = {
    errno.ENOSPC: "make room there, or write elsewhere",
    errno.EDQUOT: "make room there, or write elsewhere",
    errno.EFBIG: "write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "this user may not do that there",
    errno.EPERM: "this user may not do that there",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class CliError(click.ClickException):
    """The end of a command that failed; with ``--json`` it is one JSON object on standard error.

    ``code`` is one of PROTOCOL.md §10 or ``unreachable``, ``timeout``, ``store``, ``keyring``, ``state``, ``usage``,
    ``defect``.
    """

    as_json = False

    def __init__(self, message: str, exit_code: int = REFUSED, *, code: str = "state", **extra: Any) -> None:
        super().__init__(message)
        self.exit_code: int = exit_code  # type: ignore[misc]  # click has one per class
        self.code = code
        self.extra = extra

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence, or the JSON object, to standard error."""
        if not self.as_json:
            click.echo(f"cooee: {self.format_message()}", file=file or sys.stderr)
            return
        body = {"type": "error", "code": self.code, "message": self.message, "exitCode": self.exit_code, **self.extra}
        click.echo(json.dumps(body, separators=(",", ":")), file=file or sys.stderr)


def not_logged_in(message: str) -> CliError:
    """Build the error for a command that needs an account."""
    return CliError(message, NOT_LOGGED_IN, code=ErrorCode.UNAUTHORIZED.value)


def usage(message: str) -> CliError:
    """Build the error for arguments that make no sense together."""
    return CliError(message, USAGE, code="usage")


def explained(problem: Exception, *, again: str = "") -> CliError:
    """Turn any exception into the sentence and the exit code it ends with. Never raises.

    ``again``: how the account in use logs in again.
    """
    match problem:
        case CliError():
            return problem
        case click.ClickException():
            code = "usage" if isinstance(problem, click.UsageError) else "state"
            return CliError(sentence(problem.format_message()), problem.exit_code, code=code)
        case ExceptionGroup():
            return explained(problem.exceptions[0], again=again)
        case client.CooeeClientError():
            return _of_sdk(problem, again or "cooee login NAME")
        case CooeeError():
            return CliError(_with_next(problem.message, problem.code), code=problem.code.value)
        case TimeoutError():
            return CliError("The server did not answer in time; try again.", UNREACHABLE, code="timeout")
        case OSError():
            return CliError(sentence(_os_text(problem)))
    return CliError(f"This should not happen, please report it: {type(problem).__name__}: {problem}", code="defect")


def _of_sdk(problem: client.CooeeClientError, again: str) -> CliError:
    match problem:
        case client.NotLoggedIn():
            return not_logged_in(sentence(f"{problem.message} ({again})"))
        case client.ServerError():
            return _refused(problem)
        case client.SendFailed():
            return CliError(_with_next(problem.message, problem.code), code=problem.code)
        case client.ConnectionFailed():
            return CliError(sentence(without_internals(str(problem))), UNREACHABLE, code="unreachable")
        case client.DownloadFailed():
            return CliError(sentence(str(problem)))
        case client.Stopped():
            return not_logged_in(sentence(f"the server closed the connection for good: {problem}"))
    return CliError(sentence(str(problem)), code="store")


def _refused(problem: client.ServerError) -> CliError:
    extra = {} if problem.retry_after_ms is None else {"retryAfterMs": problem.retry_after_ms}
    text = problem.message
    if problem.retry_after_ms:
        text = f"{text}; again possible in {max(1, round(problem.retry_after_ms / 1000))} s"
    return CliError(_with_next(text, problem.code), code=problem.code, **extra)


def _with_next(message: str, code: str) -> str:
    known = _NEXT.get(ErrorCode(code)) if code in list(ErrorCode) else None
    if code == ErrorCode.NOT_FOUND:
        known = next((hint for what, hint in _WHERE_TO_LOOK.items() if f"{what} was not found" in message), None)
    told = sentence(message)
    return f"{told} {known}" if known else told


def _os_text(problem: OSError) -> str:
    where = f"{problem.filename}: " if problem.filename else ""
    advice = _OS_ADVICE.get(problem.errno or 0)
    return f"{where}{problem.strerror or problem}" + (f"; {advice}" if advice else "")


def without_internals(text: str) -> str:
    """Return a reason without what only the HTTP library's authors can read."""
    return _CANNOT_CONNECT.sub(r"no connection to \1", text)


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop, unless it begins with a name such as a URL, or has an end."""
    text = text.strip() or "it failed"
    first = text[0].upper() + text[1:] if text.split(maxsplit=1)[0].rstrip(",;").isalpha() else text
    return first + ("" if text[-1] in ".!?" else ".")
