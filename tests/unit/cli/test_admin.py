"""The operator's commands on the store of a server that does not run, and what they say when nothing is there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from cooee.adapters.sqlite.folder_lock import FolderLock

Cooee = Callable[..., Result]


@pytest.fixture
def admin(cooee: Cooee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cooee:
    """Return ``admin(*arguments)`` for an empty data folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("TIME_COST", "1"), ("MEMORY_KIB", "8")):
        monkeypatch.setenv(f"COOEE_ACCOUNTS_ARGON2_{name}", value)
    data = tmp_path / "data"
    data.mkdir()

    def run(*arguments: str, given: str = "") -> Result:
        return cooee("admin", "--data-dir", str(data), *arguments, given=given)

    return run


def test_users_are_administered_while_no_server_runs(admin: Cooee) -> None:
    made = json.loads(admin("users", "create", "alice", "--display-name", "Alice", "--admin", "--json").stdout)
    assert made["type"] == "user_created"
    assert len(made["password"]) >= 12
    assert "Created bob." in admin("users", "create", "bob", "--password-stdin", given="a good password\n").stdout
    assert admin("users", "disable", "bob").exit_code == 0
    told = [json.loads(line) for line in admin("users", "list", "--json").stdout.splitlines()]
    assert [(one["userId"], one["admin"], one["disabled"]) for one in told] == [
        ("alice", True, False),
        ("bob", False, True),
    ]
    assert admin("users", "enable", "bob").exit_code == 0
    assert "shown only now" in admin("users", "reset-password", "bob").stdout
    assert admin("users", "delete", "bob", given="n\n").exit_code == 1
    assert admin("users", "delete", "bob", "--yes").exit_code == 0
    assert "deleted" in admin("users", "list").stdout
    assert json.loads(admin("invites", "create", "--max-uses", "3", "--json").stdout)["maxUses"] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("users", "create", "UPPER"), "bad_frame"),
        (("users", "disable", "nobody"), "not_found"),
        (("users", "reset-password", "nobody"), "not_found"),
        (("users", "delete", "nobody", "--yes"), "not_found"),
    ],
)
def test_refusals_are_the_services_own(admin: Cooee, arguments: tuple[str, ...], code: str) -> None:
    result = admin(*arguments, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["code"] == code


@pytest.mark.parametrize("arguments", [("stats",), ("drain",), ("log-level", "debug")])
def test_what_needs_a_running_server_says_so(admin: Cooee, arguments: tuple[str, ...]) -> None:
    result = admin(*arguments)
    assert result.exit_code == 3
    assert "cooee serve" in result.stderr


def test_a_mistyped_folder_is_not_made(cooee: Cooee, tmp_path: Path) -> None:
    result = cooee("admin", "--data-dir", str(tmp_path / "dta"), "users", "list")
    assert result.exit_code == 1
    assert "--data-dir" in result.stderr
    assert not (tmp_path / "dta").exists()


def test_a_store_in_use_without_a_socket_is_named(admin: Cooee, tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "data")
    try:
        result = admin("users", "list")
    finally:
        lock.release()
    assert result.exit_code == 1
    assert "admin.sock" in result.stderr


def test_a_wrong_configuration_is_a_sentence(admin: Cooee, tmp_path: Path) -> None:
    (tmp_path / "cooee.toml").write_text("[server]\nprot = 1\n")
    result = admin("users", "list")
    assert result.exit_code == 1
    assert result.stderr == "cooee: cooee.toml: unknown key server.prot; did you mean port?\n"


def test_a_backup_is_made_and_restored_while_no_server_runs(admin: Cooee, cooee: Cooee, tmp_path: Path) -> None:
    admin("users", "create", "alice")
    told = json.loads(admin("backup", str(tmp_path / "b.tar"), "--json").stdout)
    assert told == {"type": "backup", "file": str(tmp_path / "b.tar"), "bytes": (tmp_path / "b.tar").stat().st_size}
    assert "--force" in admin("backup", str(tmp_path / "b.tar")).stderr
    assert admin("backup", str(tmp_path / "b.tar"), "--force").exit_code == 0
    assert "--force" in admin("restore", str(tmp_path / "b.tar")).stderr
    restored = cooee("admin", "restore", str(tmp_path / "b.tar"), "--data-dir", str(tmp_path / "new"), "--json")
    assert json.loads(restored.stdout)["rows"]["account"] == 1
    assert "alice" in cooee("admin", "--data-dir", str(tmp_path / "new"), "users", "list").stdout
    assert cooee("admin", "restore", str(tmp_path / "nothing.tar")).exit_code == 1


def test_the_doctor_finds_a_damaged_store(admin: Cooee, tmp_path: Path) -> None:
    (tmp_path / "data").chmod(0o700)
    assert "there is no store yet" in admin("doctor").stdout
    admin("users", "create", "alice")
    healthy = admin("doctor", "--json")
    assert healthy.exit_code == 0
    found = [json.loads(line) for line in healthy.stdout.splitlines()]
    assert {one["type"] for one in found} == {"finding"}
    assert {one["check"] for one in found} == {
        *("configuration", "server", "files", "disk", "clock", "permissions", "store", "schema", "media", "push"),
    }
    with (tmp_path / "data" / "cooee.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * 4096 * 4)
    damaged = admin("doctor")
    assert damaged.exit_code == 1
    assert "PROBLEM store" in damaged.stdout
    assert "restore" in damaged.stdout
