"""The command line, end-to-end encrypted, over a real server: devices, safety numbers, and what is said of messages."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import ServerProcess
from tests.integration.terminals import PASSWORD, Shell

SECRET = "a long passphrase"


@pytest.fixture
def alice(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "alice", server.url)


@pytest.fixture
def bob(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "bob", server.url)


@pytest.fixture
def laptop(server: ServerProcess, tmp_path: Path) -> Shell:
    """Where Alice has another device."""
    return Shell(tmp_path / "laptop", server.url)


@contextmanager
def running(shell: Shell, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside others, and end it."""
    process = shell.pipe(*arguments)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def objects(process: subprocess.Popen[str], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a type that a program with ``--json`` writes, as they come."""
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if told["type"] == kind:
            yield told


def texts(shell: Shell, chat: str) -> list[str]:
    return [line["text"] for line in shell.json("history", chat) if line["type"] == "message" and line["text"]]


def linked(old: Shell, new: Shell, user: str) -> None:
    """Log in on another device, and link it."""
    told = new("login", user, "--password-stdin", given=f"{PASSWORD}\n")
    assert "cooee devices link" in told.stderr
    with running(new, "devices", "link", "--json") as waiting:
        code = next(objects(waiting, "link_code"))
        asked = old("devices", "link", code["code"], given="n\n", code=1)
        assert "Nothing was done" in asked.stderr
        seen = old("devices", "link", code["code"], "--yes").stdout
        assert code["fingerprint"][:4] in seen
        assert next(objects(waiting, "device_linked"))["history"] is True
        assert waiting.wait(30) == 0


def test_what_is_sent_is_encrypted_and_read_by_those_it_is_for(
    server: ServerProcess, alice: Shell, bob: Shell, tmp_path: Path
) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    alice("send", bob_id, "for your eyes only")
    [told] = [line for line in bob.json("listen", "--count", "1", "--timeout", "30") if line["type"] == "message"]
    assert (told["text"], told["encrypted"], told["problem"]) == ("for your eyes only", True, None)
    bob("send", alice_id, "mine are open")
    assert texts(alice, bob_id) == texts(bob, alice_id) == ["for your eyes only", "mine are open"]
    assert [line["text"] for line in alice.json("search", "EYES")] == ["for your eyes only"]
    [listed] = alice.json("conversations")
    assert (listed["lastMessage"]["text"], listed["lastMessage"]["senderId"]) == ("mine are open", bob_id)
    assert not {"envelope", "groupEnvelope"} & set(listed["lastMessage"])
    exported = alice("export", bob_id, "--format", "jsonl").stdout
    assert "mine are open" in exported
    stored = b"".join(path.read_bytes() for path in (tmp_path / "server").rglob("*") if path.is_file())
    assert b"for your eyes only" not in stored


def test_a_file_is_encrypted_saved_once_and_exported(alice: Shell, bob: Shell, tmp_path: Path) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    file = tmp_path / "plan.txt"
    file.write_bytes(b"meet at nine " * 5_000)
    alice("send", bob_id, "--file", str(file), "--caption", "the plan")
    folder = tmp_path / "saved"
    folder.mkdir()
    [first] = bob.json("download", alice_id, "-o", str(folder))
    [second] = bob.json("download", alice_id, "-o", str(folder))
    assert (first["fetched"], second["fetched"], second["file"]) == (True, False, first["file"])
    assert (folder / "plan.txt").read_bytes() == file.read_bytes()
    bob("export", alice_id, "-o", str(tmp_path / "chat.html"), "--files")
    assert (tmp_path / "chat_files" / "plan.txt").read_bytes() == file.read_bytes()
    [message] = bob.json("history", alice_id)
    assert "key" not in message["content"]


def test_a_second_device_is_linked_reads_what_was_said_and_is_logged_out(
    alice: Shell, bob: Shell, laptop: Shell
) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    bob("send", alice_id, "before the laptop")
    assert texts(alice, bob_id) == ["before the laptop"]
    linked(alice, laptop, alice_id)
    assert texts(laptop, bob_id) == ["before the laptop"]
    laptop("send", bob_id, "from the laptop")
    assert texts(bob, alice_id)[-1] == "from the laptop"
    assert texts(alice, bob_id)[-1] == "from the laptop"
    devices = alice.json("devices")
    assert [device["linked"] for device in devices] == [True, True]
    other = next(device["deviceId"] for device in devices if not device["current"])
    assert "no such device" in alice("devices", "revoke", "nothing", code=1).stderr
    alice("devices", "revoke", other)
    assert len(alice.json("devices")) == 1
    laptop("history", bob_id, code=4)
    checkup = laptop("doctor", code=1).stdout
    assert f"login {alice_id}" in checkup
    assert "is linked" not in checkup
    bob("send", alice_id, "not for the laptop")
    assert texts(alice, bob_id)[-1] == "not for the laptop"


def test_an_unlinked_device_says_so_everywhere(alice: Shell, bob: Shell, laptop: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    laptop("login", alice_id, "--password-stdin", given=f"{PASSWORD}\n")
    assert "cooee devices link" in laptop("send", bob_id, "too early", code=1).stderr
    assert "not linked" in laptop("devices").stdout
    assert "PROBLEM device" in laptop("doctor", code=1).stdout
    bob("send", alice_id, "for linked ones")
    for command in (("history", bob_id), ("export", bob_id)):
        told = laptop(*command).stderr
        assert "1 message waits to be read here" in told
        assert "cooee devices link" in told
    for refused in (("download", bob_id), ("edit", bob_id, "1", "no")):
        assert "cooee devices link" in laptop(*refused, code=1).stderr
    assert "another account" in bob("devices", "link", code_of(laptop), code=1).stderr
    assert "link code" in alice("devices", "link", "AAAAA-BBBBB", code=1).stderr


def code_of(shell: Shell) -> str:
    with running(shell, "devices", "link", "--json") as waiting:
        return str(next(objects(waiting, "link_code"))["code"])


def test_with_no_device_left_the_account_begins_anew_and_contacts_are_told(
    alice: Shell, bob: Shell, laptop: Shell
) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    alice("send", bob_id, "one")
    assert texts(bob, alice_id) == ["one"]
    assert bob.json("verify", alice_id, "--yes")[0]["verified"] is True
    laptop("login", alice_id, "--password-stdin", given=f"{PASSWORD}\n")
    assert "--yes" in laptop("devices", "start-anew", given="", code=2).stderr
    assert "is you" in bob("verify", bob_id, code=1).stderr
    assert "password" in laptop("devices", "start-anew", "--yes", "--password-stdin", given="wrong\n", code=1).stderr
    laptop("devices", "start-anew", "--yes", "--password-stdin", given=f"{PASSWORD}\n")
    laptop("send", bob_id, "it is me again")
    assert texts(bob, alice_id) == ["one", "it is me again"]
    blocked = bob("send", alice_id, "is it?", code=1).stderr
    assert f"cooee verify {alice_id} --accept" in blocked
    bob("groups", "create", "Pair", alice_id)
    assert f"cooee verify {alice_id} --accept" in bob("send", "Pair", "both?", code=1).stderr
    checkup = bob("doctor", code=1).stdout
    assert "PROBLEM contacts" in checkup
    assert f"cooee verify {alice_id} --accept" in checkup
    number = bob.json("verify", alice_id)[0]
    assert (number["changed"], number["digits"]) == (True, laptop.json("verify", bob_id)[0]["digits"])
    bob("verify", alice_id, "--accept")
    assert "nothing to accept" in bob("verify", alice_id, "--accept", code=1).stderr
    bob("send", alice_id, "welcome back")
    assert texts(laptop, bob_id)[-1] == "welcome back"


def test_both_see_the_same_safety_number_and_scan_each_others(alice: Shell, bob: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    mine, theirs = alice.json("verify", bob_id)[0], bob.json("verify", alice_id)[0]
    assert len(mine["digits"]) == 60
    assert mine["digits"] == theirs["digits"]
    assert mine["qr"] != theirs["qr"]
    shown = alice("verify", bob_id).stdout
    assert mine["digits"][:5] in shown
    scanned = alice.json("verify", bob_id, "--scanned", theirs["qr"])[0]
    assert (scanned["matches"], scanned["verified"]) == (True, True)
    assert alice.json("verify", bob_id, "--no")[0]["verified"] is False
    alice("verify", bob_id, "--scanned", mine["qr"], code=1)
    assert alice.json("verify", bob_id)[0]["verified"] is False
    alice("verify", bob_id, "--scanned", "nonsense", code=1)
    assert "no safety number" in alice("verify", "nobody-at-all", code=1).stderr


def test_reactions_edits_and_timers_reach_the_other_one(alice: Shell, bob: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    alice("send", bob_id, "helo")
    bob("react", alice_id, "1", "👍")
    alice("edit", bob_id, "1", "hello", "bob")
    [seen] = bob.json("history", alice_id)
    assert (seen["text"], seen["edited"], seen["reactions"]) == ("hello bob", True, {bob_id: "👍"})
    assert "(edited)" in bob("history", alice_id).stdout
    bob("react", alice_id, "1", "--remove")
    assert alice.json("history", bob_id)[0]["reactions"] == {}
    bob("edit", alice_id, "1", "mine", code=1)
    assert "no message 99" in bob("react", alice_id, "99", "👍", code=1).stderr
    assert alice.json("timer", bob_id, "1h")[0]["timer"] == 3_600_000
    assert bob.json("timer", alice_id)[0]["timer"] == 3_600_000
    alice("send", bob_id, "gone soon")
    assert "disappears" in bob("history", alice_id).stdout
    alice("timer", bob_id, "off")
    assert bob.json("timer", alice_id)[0]["timer"] == 0


def test_a_conversation_is_in_the_clear_only_when_somebody_says_so(alice: Shell, bob: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    alice("send", bob_id, "one")
    assert alice.json("conversations", "plain", bob_id)[0]["changed"] is True
    assert alice.json("conversations", "plain", bob_id)[0]["changed"] is False
    alice("send", bob_id, "two")
    shown = bob("history", alice_id)
    assert f"{alice_id} writes in the clear from here on" in shown.stdout
    assert "two  (not encrypted)" in shown.stdout
    assert "one  (not" not in shown.stdout
    assert "not encrypted" in bob("conversations").stdout
    bob("send", alice_id, "three")  # who chose it writes in the clear, and nobody else
    bob("conversations", "encrypted", alice_id)
    assert "not encrypted" not in bob("conversations").stdout
    assert [line["encrypted"] for line in alice.json("history", bob_id) if line["text"]] == [True, False, True]


def test_a_bot_is_written_to_in_the_clear_and_one_is_told_how(alice: Shell, tmp_path: Path) -> None:
    alice.register("alice")
    bot = alice.json("bots", "create", "echo1x")[0]["userId"]
    token = alice.json("bots", "tokens", "create", bot, "one")[0]["token"]
    assert "--plain" in alice("send", bot, "hi", code=1).stderr
    alice("send", "--plain", bot, "hi")
    program = Shell(tmp_path / "program", alice.environment["COOEE_URL"])
    told = program.json("listen", "--count", "1", "--timeout", "30", COOEE_TOKEN=token)
    assert [line["text"] for line in told if line["type"] == "message" and line["text"]] == ["hi"]


def test_commands_go_through_the_one_that_has_the_store(alice: Shell, bob: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    with running(bob, "listen", "--json") as listening:
        assert any(told["state"] == "online" for told in objects(listening, "connection"))
        bob("send", alice_id, "through listen")
        assert texts(bob, alice_id) == ["through listen"]
        alice("send", bob_id, "an answer")
        assert next(objects(listening, "message"))["encrypted"] is True
        assert bob.json("verify", alice_id)[0]["digits"] == alice.json("verify", bob_id)[0]["digits"]
        bob("react", alice_id, "2", "👍")
        assert bob.json("store", "status")[0]["inUse"] is True
        assert any(line.get("check") == "device" and line["level"] == "ok" for line in bob.json("doctor"))
    assert alice.json("history", bob_id)[1]["reactions"] == {bob_id: "👍"}


def test_a_store_under_a_passphrase_opens_with_it_alone(alice: Shell, bob: Shell) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    alice("send", bob_id, "one")
    alice("store", "protect", "--passphrase", given=f"{SECRET}\n")
    assert "COOEE_PASSPHRASE" in alice("history", bob_id, code=2).stderr
    assert "passphrase" in alice("history", bob_id, code=1, COOEE_PASSPHRASE="another").stderr
    assert "one" in alice("history", bob_id, COOEE_PASSPHRASE=SECRET).stdout
    with alice.terminal("history", bob_id) as terminal:
        terminal.expect("Passphrase of the store: ").type("wrong\r")
        terminal.expect("try again.\r\nPassphrase of the store: ").type(f"{SECRET}\r")
        terminal.expect(f"{bob_id}: one")
        assert terminal.wait() == 0
    assert alice_id


def test_a_backup_goes_on_as_the_same_device_elsewhere(
    server: ServerProcess, alice: Shell, bob: Shell, tmp_path: Path
) -> None:
    alice_id, bob_id = alice.register("alice"), bob.register("bob")
    bob("send", alice_id, "one")
    assert texts(alice, bob_id) == ["one"]
    file = tmp_path / "alice.cooee"
    alice("store", "backup", str(file), given=f"{SECRET}\n")
    new = Shell(tmp_path / "new", server.url)
    told = new("store", "restore", str(file), given=f"{SECRET}\n").stdout
    assert f"cooee login {alice_id}" in told
    assert new("login", alice_id, "--password-stdin", given=f"{PASSWORD}\n").exit_code == 0
    assert texts(new, bob_id) == ["one"]
    bob("send", alice_id, "two")
    assert texts(new, bob_id) == ["one", "two"]
    new("send", bob_id, "three")
    assert texts(bob, alice_id) == ["one", "two", "three"]


def test_the_doctor_finds_a_healthy_account_healthy_and_a_server_that_is_gone(new_server: Any, tmp_path: Path) -> None:
    own = new_server()
    shell = Shell(tmp_path / "home", own.url)
    shell.register("alice")
    told = shell.json("doctor")
    assert {line["level"] for line in told if line["type"] == "finding"} <= {"ok"}
    assert [line["text"] for line in told if line.get("check") == "clock"] == ["it agrees with the server's"]
    figures = next(line for line in told if line["type"] == "diagnostics")
    assert (figures["standing"], figures["waiting"]) == ("linked", 0)
    own.kill9()
    assert "PROBLEM server" in shell("doctor", code=1).stdout


def test_ctrl_c_ends_the_wait_for_a_link_and_changes_nothing(alice: Shell, laptop: Shell) -> None:
    alice_id = alice.register("alice")
    laptop("login", alice_id, "--password-stdin", given=f"{PASSWORD}\n")
    with laptop.terminal("devices", "link") as terminal:
        terminal.expect("cooee devices link A").expect("▄").expect("Ctrl-C ends")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.raw
    assert "not linked" in laptop("devices").stdout
