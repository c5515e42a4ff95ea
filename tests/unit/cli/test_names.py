"""What a shell completes: names that this machine knows, without asking anybody."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cooee.cli.main import cli
from cooee.client import Client
from cooee.client.model import Account
from cooee.client.peek import held_conversations
from cooee.client.store_key import open_key, protect
from cooee.client.turn import Turn

LogIn = Callable[..., Account]
TITLES = {"group:g1": "Team", "group:g2": "The Tea Party", "group:g3": "tab\there", "group:g4": "lower"}


@pytest.fixture
async def alice(home: Path, log_in: LogIn) -> Path:
    """Alice's store: she chats with bob and carol and is in four groups."""
    log_in("alice", "desk")
    folder = home / "profiles" / "desk"

    def fill(turn: Turn) -> None:
        for at, (conversation_id, title) in enumerate(TITLES.items()):
            turn.change(conversation_id, learned=True, title=title, last_activity=at)
        for at, user in enumerate(("bob", "carol")):
            turn.change(f"dm:alice:{user}", learned=True, last_activity=10 + at)

    async with Client("http://127.0.0.1:9", store=folder, live=False) as client:
        await client._step(fill)
    return folder


def completed(monkeypatch: pytest.MonkeyPatch, line: str, shell: str = "fish") -> list[str]:
    """Return what is offered for the last word of ``line``."""
    monkeypatch.setenv("_COOEE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", line.rpartition(" ")[2] if shell == "fish" else str(line.count(" ")))
    shown = CliRunner().invoke(cli, [], prog_name="cooee", complete_var="_COOEE_COMPLETE").stdout
    return [one.partition(",")[2].partition("\t")[0] for one in shown.splitlines() if one]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("cooee send ", ["carol", "bob", "group:lower", "group:g3", "The Tea Party", "Team"]),
        ("cooee send t", ["The Tea Party", "Team"]),
        ("cooee history b", ["bob"]),
        ("cooee export c", ["carol"]),
        ("cooee listen bob ca", ["carol"]),
        ("cooee chat Te", ["Team"]),
        ("cooee conversations mute Te", ["Team"]),
        ("cooee groups show ", ["group:lower", "group:g3", "The Tea Party", "Team"]),
        ("cooee groups add Team b", ["bob"]),
        ("cooee contacts add ", ["carol", "bob"]),
        ("cooee send Team hi --mention c", ["carol"]),
        ("cooee --as desk send b", ["bob"]),
        ("cooee --as nobody send b", []),
        ("cooee --as d", ["desk"]),
        ("cooee send --as ", ["desk"]),
        ("cooee accounts use d", ["desk"]),
    ],
)
def test_names_are_completed_from_this_machine(
    alice: Path, monkeypatch: pytest.MonkeyPatch, line: str, names: list[str]
) -> None:
    assert completed(monkeypatch, line) == names


def test_bash_is_given_names_as_one_word(alice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, "cooee send Th", "bash") == ["The\\ Tea\\ Party"]


def test_nobody_logged_in_completes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, "cooee send b") == []


async def test_a_store_in_use_can_be_looked_into(alice: Path) -> None:
    async with Client("http://127.0.0.1:9", store=alice, live=False):
        assert [one.conversation_id for one in held_conversations(alice)][:2] == ["dm:alice:carol", "dm:alice:bob"]
        assert len(held_conversations(alice, limit=3)) == 3


async def test_a_store_that_a_passphrase_or_keyring_opens_is_not_looked_into(alice: Path) -> None:
    key = open_key(alice)
    protect(alice, key, elsewhere=True)
    assert held_conversations(alice) == []
    protect(alice, key, passphrase="open sesame")
    assert held_conversations(alice) == []
    protect(alice, key)
    assert len(held_conversations(alice)) == 6


def test_what_is_no_store_holds_nothing(tmp_path: Path) -> None:
    assert held_conversations(tmp_path) == []
    (tmp_path / "store.db").write_bytes(b"nonsense" * 1000)
    assert held_conversations(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.db"]
