"""Passwords and codes: from a hidden prompt, the environment or standard input, never from an argument."""

import os
import sys

import click

from cooee.cli.errors import usage

password_stdin = click.option(
    "--password-stdin",
    "password_stdin",
    is_flag=True,
    help="Read the password from standard input, one line  [also when that is no terminal; or COOEE_PASSWORD]",
)


def password(prompt: str, *, from_stdin: bool, confirm: bool = False, variable: str = "COOEE_PASSWORD") -> str:
    """Return a password: the next line of standard input, ``variable``, or what is typed unseen.

    Raises:
        CliError: there is none to be had (exit 2).
        click.Abort: the person gave up.
    """
    if not from_stdin:
        given = os.environ.get(variable, "") if variable else ""
        if given:
            return given
        if sys.stdin.isatty():
            typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
            return typed
    return _line(prompt)


def _line(prompt: str) -> str:
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise usage(f"{prompt}: standard input is not UTF-8.") from None
    if not line:
        raise usage(
            f"{prompt}: there is none on standard input; type it on a terminal, "
            "give it as a line of standard input, or set COOEE_PASSWORD."
        )
    return line
