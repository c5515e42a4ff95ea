"""``cooee export`` against the real server: whole, or nothing."""

import asyncio
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cooee.client import Api
from cooee.domain.ids import direct_conversation_id
from cooee.protocol import frames
from tests.integration.harness import ServerProcess
from tests.integration.terminals import PASSWORD, Shell, whole

NewServer = Callable[..., ServerProcess]
MANY = 450
"""Messages: more than two pages of history."""
FULL = Path("/dev/full")


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", server.url)


def said(url: str, user: str, to: str, texts: list[str]) -> None:
    """Have a user say many things quickly."""

    async def saying() -> None:
        async with Api(url) as api:
            api.token = (await api.log_in(user, PASSWORD, device_name="other")).token
            for at, text in enumerate(texts):
                content = msgspec.Raw(msgspec.json.encode(text))
                key = f"01976e5a-7c3f-7d10-8000-{at:012d}"
                await api.send_message(frames.Send(key, "text", content, direct_conversation_id(user, to)))

    asyncio.run(saying())


def exported(shell: Shell, *arguments: str) -> list[dict[str, object]]:
    """Return the lines of an export as objects."""
    return [json.loads(line) for line in shell("export", *arguments, "--format", "jsonl").stdout.splitlines()]


def test_all_of_a_long_conversation_is_there_in_order(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    said(shell.environment["COOEE_URL"], bob, alice, [f"text {at}" for at in range(MANY)])
    head, *lines, end = exported(shell, bob, "--as", alice)
    assert (head["type"], head["version"], head["userId"]) == ("export", 1, alice)
    assert [line["sequenceNumber"] for line in lines] == list(range(1, MANY + 1))
    assert [line["text"] for line in lines] == [f"text {at}" for at in range(MANY)]
    assert end == {"type": "export_end", "messages": MANY}


def test_the_forms_follow_the_files_name_and_names_and_ticks_are_there(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    evil = "<script>alert(1)</script>"
    shell("--as", bob, "profile", "set", "--name", "Bob <b>B.</b>")
    shell("--as", alice, "groups", "create", evil, bob)
    shell("--as", alice, "send", evil, evil)
    shell("--as", bob, "send", evil, "harmless", "--reply-to", "2")
    shell("--as", bob, "read", evil)
    for name in ("team.html", "team.txt", "team.jsonl"):
        told = shell("--as", alice, "export", evil, "-o", str(tmp_path / name))
        assert "Wrote 3 messages" in told.stdout
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    page = (tmp_path / "team.html").read_text("utf-8")
    assert "<script" not in page
    assert "<b>B.</b>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "Bob &lt;b&gt;B.&lt;/b&gt;" in page
    log = (tmp_path / "team.txt").read_text("utf-8")
    assert f"{alice}: {evil}  ✓✓ read" in log
    assert f"Bob <b>B.</b> ({bob}) [to 2]: harmless" in log
    lines = [json.loads(line) for line in (tmp_path / "team.jsonl").read_text("utf-8").splitlines()]
    assert [line["type"] for line in lines] == ["export", "message", "message", "message", "export_end"]
    assert [line.get("senderName") for line in lines[1:4]][1:] == [alice, "Bob <b>B.</b>"]


def test_a_file_that_is_there_is_replaced_only_when_that_is_meant(shell: Shell, tmp_path: Path) -> None:
    alice = shell.register("alice")
    shell("send", alice, "hello")
    target = tmp_path / "log.txt"
    told = shell.json("export", alice, "-o", str(target))
    assert told == [{"type": "exported", "file": str(target), "bytes": target.stat().st_size}]
    assert "--force" in shell("export", alice, "-o", str(target), code=1).stderr
    shell("export", alice, "-o", str(target), "--force", "--format", "html")
    assert target.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert "--force" in shell("account", "export", "-o", str(target), code=1).stderr
    assert len(shell.json("export", alice)) == 3
    shell("export", alice, "--json", "--format", "html", code=2)


def test_who_is_no_member_exports_nothing(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    group = shell.json("--as", alice, "groups", "create", "Team")[0]["conversationId"]
    folder = tmp_path / "written"
    folder.mkdir()
    refused = shell.json("--as", bob, "export", group, "-o", str(folder / "team.txt"), code=1)
    assert refused[0]["code"] == "not_a_member"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("end", ["ctrl-c", "the server dies"])
def test_what_is_broken_off_leaves_nothing(new_server: NewServer, tmp_path: Path, end: str) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    bob = shell.register("bob")
    folder = tmp_path / "written"
    folder.mkdir()
    server.signal(signal.SIGSTOP)
    with shell.terminal("export", bob, "-o", str(folder / "log.txt")) as terminal:
        terminal.expect("Waiting for the server")
        assert [path.suffix for path in folder.iterdir()] == [".part"]
        if end == "ctrl-c":
            terminal.type("\x03")
        else:
            server.kill9()
        assert terminal.wait() == (130 if end == "ctrl-c" else 3)
        assert "Traceback" not in terminal.raw
    assert list(folder.iterdir()) == []
    if end == "ctrl-c":
        server.signal(signal.SIGCONT)


def test_a_full_disk_is_named_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    alice = shell.register("alice")
    shell("send", alice, "x" * 9_000)
    folder = tmp_path / "written"
    folder.mkdir()

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))

    listening = shell.pipe("listen", "--json")  # has the store, which must not be full
    assert listening.stdout is not None
    assert any('"online"' in line for line in listening.stdout)
    run = subprocess.run(
        [sys.executable, "-m", "cooee", "export", alice, "-o", str(folder / "log.txt")],
        env=whole(shell.environment),
        preexec_fn=no_large_files,  # no threads here, and only this makes a disk full
        capture_output=True,
        text=True,
        check=False,
    )
    listening.terminate()
    listening.communicate()
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"cooee: {folder / 'log.txt'}: File too large; write elsewhere.\n"
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", ["export", "history"])
def test_a_full_disk_behind_standard_output_is_named(shell: Shell, command: str) -> None:
    alice = shell.register("alice")
    shell("send", alice, "hello")
    with FULL.open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "cooee", command, alice],
            env=whole(shell.environment),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr == "cooee: No space left on device; make room there, or write elsewhere.\n"


def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    said(shell.environment["COOEE_URL"], bob, alice, ["x" * 1_000] * 200)
    writing = shell.pipe("--as", alice, "export", bob)
    assert writing.stdout is not None
    assert writing.stderr is not None
    writing.stdout.readline()
    writing.stdout.close()
    assert writing.stderr.read() == ""
    writing.stderr.close()
    assert writing.wait() == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("form", ["text", "jsonl", "html"])
def test_a_poor_terminal_is_written_to_in_its_own_letters(shell: Shell, encoding: str, form: str) -> None:
    alice = shell.register("alice")
    shell("send", alice, "grüße 👍")
    run = subprocess.run(
        [sys.executable, "-m", "cooee", "export", alice, "--format", form],
        env=whole(shell.environment) | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    text = run.stdout.decode(encoding)
    shown = {
        "text": "gr??e ?" if encoding == "ascii" else "grüße ?",
        "jsonl": r"gr\u00fc\u00dfe \ud83d\udc4d",
        "html": "gr&#252;&#223;e &#128077;",
    }
    assert shown[form] in text
    assert not re.search("[✓—…]", text)


# --- a server that sets bounds


def test_a_rate_limit_slows_it_down_and_breaks_nothing(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice, bob = shell.register("alice"), shell.register("bob")
    said(server.url, bob, alice, [f"text {at}" for at in range(MANY)])
    server.stop()
    server.start(LIMITS_FRAMES="20/s burst 3")
    assert exported(shell, bob, "--as", alice)[-1] == {"type": "export_end", "messages": MANY}
