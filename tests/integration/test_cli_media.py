"""Files through the command line, against the real server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import ServerProcess
from tests.integration.terminals import Shell

NewServer = Callable[..., ServerProcess]


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", server.url)


def picture(folder: Path, name: str = "cat.png") -> Path:
    """Return a file that is a picture by its first bytes."""
    path = folder / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3000))
    return path


def test_files_are_sent_shown_and_saved(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    cat, plan = picture(tmp_path), tmp_path / "plan.txt"
    plan.write_text("first, tea\n")
    sent = shell("send", bob, "--file", str(cat), "--file", str(plan), "--caption", "the cat", "--as", alice)
    assert sent.stdout.count("✓ sent") == 2
    shown = shell("history", alice, "--as", bob).stdout
    assert "[image] cat.png (2.9 KiB, image/png) the cat" in shown
    assert "[document] plan.txt (11 bytes, text/plain)" in shown

    folder = tmp_path / "saved"
    folder.mkdir()
    told = shell("download", alice, "--all", "-o", str(folder), "--as", bob).stdout
    assert sorted(path.name for path in folder.iterdir()) == ["cat.png", "plan.txt"]
    assert (folder / "cat.png").read_bytes() == cat.read_bytes()
    assert "saved, 2.9 KiB" in told
    assert (folder / "cat.png").stat().st_mode & 0o777 == 0o600
    again = shell.json("download", alice, "--all", "-o", str(folder), "--as", bob)
    assert [record["fetched"] for record in again] == [False, False]


def test_nothing_is_overwritten_without_force(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("send", bob, "--file", str(picture(tmp_path)), "--as-document", "--as", alice)
    target = tmp_path / "mine.png"
    target.write_text("mine")
    refused = shell("download", alice, "-o", str(target), "--as", bob, code=1)
    assert "--force replaces it" in refused.stderr
    assert target.read_text() == "mine"
    shell("download", alice, "1", "-o", str(target), "--force", "--as", bob)
    assert target.read_bytes() == (tmp_path / "cat.png").read_bytes()
    other = tmp_path / "folder"
    other.mkdir()
    (other / "cat.png").write_text("another cat")
    shell("download", alice, "-o", str(other), "--as", bob)
    assert sorted(path.name for path in other.iterdir()) == ["cat (2).png", "cat.png"]
    assert (other / "cat.png").read_text() == "another cat"
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "cat.png").symlink_to(tmp_path / "elsewhere")
    shell("download", alice, "-o", str(trap), "--as", bob)
    assert not (tmp_path / "elsewhere").exists()


def test_what_makes_no_sense_is_said(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("send", bob, "hello", "--as", alice)
    cat = str(picture(tmp_path))
    assert "--caption" in shell("send", bob, "words", "--file", cat, "--as", alice, code=2).stderr
    assert "--file" in shell("send", bob, "--caption", "x", "--as", alice, code=2).stderr
    assert "no file" in shell("download", alice, "1", "--as", bob, code=1).stderr
    assert "no message 9" in shell("download", alice, "9", "--as", bob, code=1).stderr
    assert "no files" in shell("download", alice, "--as", bob, code=1).stderr
    assert "--all" in shell("download", alice, "1", "--all", "--as", bob, code=2).stderr
    (tmp_path / "empty").touch()
    assert "empty" in shell("send", bob, "--file", str(tmp_path / "empty"), "--as", alice, code=1).stderr
    assert "Everything was sent" in shell("outbox", "--as", alice).stderr


def test_a_file_goes_beside_a_listen_of_the_same_account(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    with shell.terminal("listen", "--as", alice) as listening:
        listening.expect("Connected")
        shell("send", bob, "--file", str(picture(tmp_path)), "--as", alice)
        with shell.terminal("listen", "--as", bob) as other:
            other.expect("[image] cat.png")


def test_without_a_server_a_file_is_kept_and_sent_later(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice, bob = shell.register("alice"), shell.register("bob")
    cat = picture(tmp_path)
    server.stop()
    for caption in ("one", "two"):
        given = ("--file", str(cat), "--caption", caption, "--as", alice)
        assert shell.json("send", bob, *given, code=3)[0]["code"] == "unreachable"
    one, two = shell.json("outbox", "--as", alice)
    assert [(kept["contentType"], kept["filename"], kept["text"]) for kept in (one, two)] == [
        ("image", "cat.png", "one"),
        ("image", "cat.png", "two"),
    ]
    assert "waits for its file" in shell("outbox", "--as", alice).stdout
    shell("outbox", "discard", two["clientMessageId"], "--as", alice)
    server.start()
    with shell.terminal("listen", "--as", alice) as listening:
        listening.expect("Connected")
        with shell.terminal("listen", "--as", bob) as other:
            other.expect("[image] cat.png").expect("one")
    assert shell.json("outbox", "--as", alice) == []
    assert [message["text"] for message in shell.json("history", alice, "--as", bob)] == ["one"]


def test_an_export_links_the_files_that_it_saves(shell: Shell, tmp_path: Path) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    strange = picture(tmp_path, "a <b> & 'c'.png")
    shell("send", bob, "--file", str(strange), "--caption", "<script>", "--as", alice)
    shell("export", alice, "-o", str(tmp_path / "chat.html"), "--files", "--as", bob)
    page = (tmp_path / "chat.html").read_text("utf-8")
    [saved] = (tmp_path / "chat_files").iterdir()
    assert saved.read_bytes() == strange.read_bytes()
    assert 'href="chat_files/a%20_b_%20%26%20%27c%27.png"' in page
    assert "a &lt;b&gt; &amp; &#x27;c&#x27;.png (2.9 KiB, image/png)" in page
    assert "<script>" not in page
    lines = shell("export", alice, "--format", "jsonl", "-o", str(tmp_path / "x.jsonl"), "--files", "--as", bob)
    assert "Wrote 1 message" in lines.stdout
    assert '"file":"x_files/' in (tmp_path / "x.jsonl").read_text("utf-8")
    assert "-o FILE" in shell("export", alice, "--files", "--as", bob, code=2).stderr
    shell("export", alice, "-o", str(tmp_path / "plain.html"), "--as", bob)
    assert "<a href" not in (tmp_path / "plain.html").read_text("utf-8")
