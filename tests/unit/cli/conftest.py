"""The command line as a person has it: a home of its own, no terminal, no server."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cooee.cli.main import cli
from cooee.client.account import make_folder, save_account
from cooee.client.model import Account

Cooee = Callable[..., Result]
NOBODY = "http://127.0.0.1:9"
"""A URL behind which nobody listens."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("COOEE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COOEE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COOEE_KEYRING", "off")  # the tester's own keyring is none of our business
    return tmp_path / "home"


@pytest.fixture
def cooee(home: Path) -> Cooee:
    """Return ``cooee(*arguments, given="")``, which runs the command line and returns how it ended."""

    def run(*arguments: str, given: str | bytes = "") -> Result:
        result = CliRunner().invoke(cli, list(arguments), input=given, prog_name="cooee")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def log_in(home: Path) -> Callable[..., Account]:
    """Return what puts an account on this machine, as a log-in does."""

    def put(user: str, profile: str = "", *, url: str = NOBODY, token: str = "a-token") -> Account:
        folder = home / "profiles" / (profile or user)
        make_folder(folder)
        account = Account(url, user, "d1", token)
        save_account(folder, account)
        return account

    return put
