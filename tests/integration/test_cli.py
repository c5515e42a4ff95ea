"""The command line against the real server: two terminals, scripts, and everything that goes wrong."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import ServerProcess
from tests.integration.terminals import PASSWORD, Shell, a_name

BLUE_TICKS = "\x1b[94m\x1b[1m✓✓\x1b[0m"
NewServer = Callable[..., ServerProcess]


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", server.url)


# --- two terminals ----------------------------------------------------------------------------------------------------


def test_two_terminals_register_talk_and_see_the_ticks(server: ServerProcess, tmp_path: Path) -> None:
    at_alice = Shell(tmp_path / "alice", server.url)
    at_bob = Shell(tmp_path / "bob", server.url)
    alice, bob = a_name("alice"), a_name("bob")
    for shell, user in ((at_alice, alice), (at_bob, bob)):
        with shell.terminal("register", user) as terminal:
            terminal.expect(f"New password for {user}: ").type(f"{PASSWORD}\r")
            terminal.expect("Repeat for confirmation: ").type(f"{PASSWORD}\r")
            terminal.expect(f"Registered {user}")
            assert terminal.wait() == 0
            assert PASSWORD not in terminal.raw

    at_alice("contacts", "add", bob)  # so that bob sees when she is there

    with at_bob.terminal("listen") as listening:
        listening.expect(f"Connected as {bob}")
        with at_alice.terminal("send", bob, "--follow", "hello", "there") as sending:
            sending.expect("✓ sent").expect("✓✓ delivered").expect(f"{BLUE_TICKS} read", styled=True)
            assert sending.wait() == 0
        listening.expect(f"{alice}: hello there")

        with at_alice.terminal("listen") as other:
            other.expect(f"Connected as {alice}")
            listening.expect(f"{alice} is online")
            # bob's connection is taken by his `listen`: this goes beside it, and is followed all the same
            with at_bob.terminal("send", alice, "-f", "and back") as answering:
                answering.expect("✓ sent").expect(f"{BLUE_TICKS} read", styled=True)
                assert answering.wait() == 0
            other.expect(f"{bob}: and back")
            other.type("\x03")
            assert other.wait() == 130

        listening.type("\x03")
        assert listening.wait() == 130
        assert "Traceback" not in listening.raw


def test_listen_shows_the_ticks_of_what_it_sent_before(shell: Shell, tmp_path: Path, server: ServerProcess) -> None:
    alice, bob = shell.register("alice"), Shell(tmp_path / "bob", server.url).register("bob")
    shell("send", bob, "one")
    with shell.terminal("listen") as listening:
        listening.expect(f"Connected as {alice}")
        at_bob = Shell(tmp_path / "bob", server.url)
        assert f"{alice}: one" in at_bob("listen", "--count", "1").stdout
        listening.expect("✓✓ delivered").expect(f"{BLUE_TICKS} read", styled=True)
        listening.type("\x03")
        assert listening.wait() == 130


def test_without_colour_nothing_but_text_is_written(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", alice, "send", bob, "hello")
    assert "\x1b" not in shell("--as", bob, "listen", "--count", "1").stdout
    assert shell("--as", alice, "history", bob).stdout.endswith("hello  ✓✓ read\n")
    with Shell(shell.home, shell.environment["COOEE_URL"]).terminal("--as", alice, "history", bob) as coloured:
        coloured.wait()
        assert BLUE_TICKS in coloured.raw


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_pipe_goes_in_and_lines_of_json_come_out(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    listening = shell.pipe("--as", bob, "listen", "--json", "--count", "2", "--timeout", "60")
    shell("--as", alice, "send", bob, "-", given="from a pipe\nin two lines\n")
    sent = shell.json("--as", alice, "send", bob, "zwölf")
    out, err = listening.communicate(timeout=60)
    assert (listening.returncode, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    messages = [one for one in told if one["type"] == "message"]
    assert [(one["sequenceNumber"], one["text"]) for one in messages] == [
        (1, "from a pipe\nin two lines"),
        (2, "zwölf"),
    ]
    assert [(one["status"], one["sequenceNumber"]) for one in sent] == [("sent", 2)]
    assert shell.json("--as", alice, "receipts", bob, "2") == [
        {"type": "receipt", "conversationId": messages[0]["conversationId"], "userId": bob, "status": "read"}
    ]


def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    listening = shell.pipe("--as", bob, "listen", "--json")
    assert listening.stdout is not None
    assert listening.stderr is not None
    while '"online"' not in listening.stdout.readline():
        pass
    listening.stdout.close()
    shell("--as", alice, "send", bob, "into the void")
    assert listening.stderr.read() == ""
    listening.stderr.close()
    assert listening.wait() == 1


def test_an_account_in_use_is_not_erased(shell: Shell) -> None:
    alice = shell.register("alice")
    with shell.terminal("listen") as listening:
        listening.expect(f"Connected as {alice}")
        assert shell.json("logout", "--erase", code=1)[0]["code"] == "store"
        shell("whoami")
        listening.type("\x03")
        assert listening.wait() == 130
    shell("logout", "--erase")


def test_no_read_leaves_unread_what_it_shows(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", alice, "send", bob, "hello")
    for _ in range(2):
        assert "hello" in shell("--as", bob, "listen", "--no-read", "--count", "1").stdout
    assert shell.json("--as", bob, "conversations")[0]["unread"] == 1
    assert shell("--as", bob, "listen", "--new", "--count", "1", "--timeout", "1", code=1).stdout == ""
    shell("--as", bob, "read", alice)
    assert shell.json("--as", bob, "conversations")[0]["unread"] == 0


def test_a_token_is_enough_for_a_bot(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    token = json.loads((shell.home / "profiles" / alice / "account.json").read_text())["token"]
    bot = Shell(shell.home.parent / "bot", shell.environment["COOEE_URL"])
    assert bot.json("whoami", COOEE_TOKEN=token)[0]["userId"] == alice
    bot("send", bob, "from a bot", COOEE_TOKEN=token)
    bot("history", bob, COOEE_TOKEN=token)
    assert "from a bot" in shell("--as", bob, "history", alice).stdout
    assert bot.json("whoami", code=4, COOEE_TOKEN="nonsense")[0]["code"] == "unauthorized"


def test_what_is_written_by_every_command_has_a_type(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    carol = shell.register("carol")

    def types(*arguments: str, given: str = "") -> list[str]:
        return [one["type"] for one in shell.json("--as", alice, *arguments, given=given)]

    assert types("whoami") == ["account"]
    assert types("login", alice) == ["logged_in"]
    assert types("groups", "create", "Team 1", bob) == ["group"]
    assert types("send", "Team 1", "hi") == ["tick"]
    assert types("groups") == types("groups", "list") == ["conversation"]
    assert types("groups", "show", "team 1") == ["group"]
    assert types("groups", "rename", "Team 1", "Team 2") == ["group"]
    assert types("groups", "add", "Team 2", carol) == ["group"]
    assert types("groups", "role", "Team 2", bob, "admin") == ["group"]
    assert types("groups", "remove", "Team 2", carol) == ["member_removed"]
    assert types("groups", "invite", "Team 2", "--expires", "1h") == ["invite"]
    assert types("groups", "invite", "Team 2", "--revoke") == ["invites_revoked"]
    assert types("history", "Team 2") == ["message"] * 6
    assert types("conversations") == ["conversation"]
    assert types("conversations", "mute", "Team 2", "--until", "8h") == ["conversation"]
    assert types("conversations", "pin", "Team 2") == ["conversation"]
    assert types("conversations", "archive", "Team 2") == ["conversation"]
    assert types("conversations") == []
    assert types("conversations", "list", "--all") == ["conversation"]
    assert types("receipts", "Team 2", "2") == ["receipt"]
    assert types("read", "Team 2") == ["read"]
    assert types("delete", "Team 2", "2") == ["deleted"]
    assert types("outbox") == []
    assert types("contacts", "add", bob, carol) == ["contact_added"] * 2
    assert types("contacts") == types("contacts", "list") == ["contact"] * 2
    assert types("contacts", "remove", bob) == ["contact_removed"]
    assert types("blocks", "add", bob) == ["blocked"]
    assert types("blocks") == types("blocks", "list") == ["block"]
    assert types("blocks", "remove", bob) == ["unblocked"]
    assert types("users", "show", bob) == ["user"]
    assert types("users", "search", bob[:6])[0] == "user"
    assert types("profile") == types("profile", "show") == types("profile", "set", "--about", "x") == ["profile"]
    assert types("devices") == types("devices", "list") == ["device"]
    assert types("account", "password", given=f"{PASSWORD}\nanother horse\n") == ["password_changed"]
    assert types("account", "recovery-codes") == ["recovery_codes"]
    assert types("groups", "delete", "Team 2", "--yes") == ["group_deleted"]
    assert types("account", "delete", "--yes", "--user", alice) == ["account_deleted"]
    assert shell.json("--as", bob, "logout")[0]["type"] == "logged_out"


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_groups_are_left_and_joined(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", alice, "groups", "create", "Choir")
    code = shell("--as", alice, "groups", "invite", "Choir").stdout.strip()
    assert "You are in Choir now" in shell("--as", bob, "groups", "join", code).stdout
    shell("--as", alice, "send", "Choir", "welcome")
    assert f"[Choir] {alice}: welcome" in shell("--as", bob, "history", "Choir").stdout
    assert "hand the group over" in shell("--as", alice, "groups", "leave", "Choir", code=1).stderr.lower()
    shell("--as", alice, "groups", "role", "Choir", bob, "owner")
    shell("--as", alice, "groups", "leave", "Choir")


def test_a_device_logs_out_and_in_again_and_stays_the_same(shell: Shell) -> None:
    alice = shell.register("alice")
    before = shell.json("whoami")[0]["deviceId"]
    shell("logout")
    assert f"cooee login {alice}" in shell("whoami", code=4).stderr
    assert shell.json("login", alice, given="wrong horse\n", code=4)[0]["code"] == "unauthorized"
    shell("login", alice, given=f"{PASSWORD}\n")
    assert shell.json("whoami")[0]["deviceId"] == before
    shell("logout", "--erase")
    assert not (shell.home / "profiles" / alice).exists()


def test_a_revoked_device_is_told_to_log_in(shell: Shell, tmp_path: Path) -> None:
    alice = shell.register("alice")
    phone = Shell(tmp_path / "phone", shell.environment["COOEE_URL"])
    phone("login", alice, "--device-name", "phone", given=f"{PASSWORD}\n")
    with phone.terminal("listen") as listening:
        listening.expect("Connected as")
        device = next(one for one in shell.json("devices") if one["name"] == "phone")
        shell("devices", "revoke", device["deviceId"])
        listening.expect("log in again")
        assert listening.wait() == 4
    assert phone("whoami", code=4).stderr
    phone("logout")


def test_a_lost_password_is_replaced_by_a_recovery_code(shell: Shell) -> None:
    alice = shell.register("alice")
    code = shell.json("account", "recovery-codes")[0]["codes"][0]
    shell("account", "recover", alice, given=f"{code}\nanother horse\n")
    shell("whoami", code=4)
    shell("login", alice, given="another horse\n")
    assert shell.json("account", "recover", alice, given=f"{code}\nthird horse\n", code=4)[0]["code"] == "unauthorized"


def test_an_export_is_readable_for_its_owner_alone(shell: Shell, tmp_path: Path) -> None:
    alice = shell.register("alice")
    file = tmp_path / "alice.json"
    shell("account", "export", "--output", str(file))
    assert json.loads(file.read_bytes())["account"]["userId"] == alice
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(shell("account", "export").stdout)["account"]["userId"] == alice


def test_an_account_is_not_deleted_by_mistake(shell: Shell) -> None:
    alice = shell.register("alice")
    shell("account", "delete", "--yes", code=2)
    shell("account", "delete", "--yes", "--user", "somebody", code=2)
    shell("account", "delete", given="somebody\n", code=2)
    shell("whoami")
    shell("account", "delete", given=f"{alice}\n")
    shell("whoami", code=4)
    assert shell.json("register", alice, given=f"{PASSWORD}\n", code=1)[0]["code"] == "conflict"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("send", "nobody-here", "hi"), "not_found"),
        (("send", "No Such Group", "hi"), "not_found"),
        (("history", "group:nothing"), "not_a_member"),
        (("users", "show", "nobody-here"), "not_found"),
        (("users", "search", "x"), "bad_frame"),
        (("contacts", "add", "nobody-here"), "not_found"),
        (("devices", "revoke", "nothing"), "not_found"),
        (("groups", "join", "nothing"), "not_found"),
        (("groups", "create", "x" * 200), "bad_frame"),
        (("profile", "set", "--name", "a\u202eb"), "bad_frame"),
        (("account", "password"), "forbidden"),
    ],
)
def test_a_refusal_is_exit_code_1_with_the_servers_code(shell: Shell, arguments: tuple[str, ...], code: str) -> None:
    shell.register("alice")
    given = "wrong horse\nanother horse\n" if arguments == ("account", "password") else ""
    assert shell.json(*arguments, given=given, code=1)[0]["code"] == code
    assert "\n" not in shell(*arguments, given=given, code=1).stderr.strip()
    assert shell("outbox").stdout == ""


def test_a_block_stops_messages(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", bob, "blocks", "add", alice)
    assert shell.json("--as", alice, "send", bob, "hi", code=1)[0]["code"] == "blocked"


def test_a_reply_names_a_message_by_its_number(shell: Shell) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", alice, "send", bob, "question")
    shell("--as", bob, "send", alice, "answer", "--reply-to", "1", "--mention", alice)
    first, second = shell.json("--as", bob, "history", alice)
    assert second["replyTo"] == first["messageId"]
    assert second["mentions"] == [alice]
    assert shell.json("--as", bob, "send", alice, "x", "--reply-to", "77", code=1)[0]["code"] == "not_found"


# --- a server that goes away ------------------------------------------------------------------------------------------


def test_what_was_written_without_a_server_goes_out_once_it_is_back(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice, bob = shell.register("alice"), shell.register("bob")
    server.stop()
    for text in ("one", "two"):
        assert shell.json("--as", alice, "send", bob, text, code=3)[0]["code"] == "unreachable"
    for arguments in (("whoami",), ("conversations",), ("listen",), ("groups",), ("devices",)):
        assert shell.json("--as", bob, *arguments, code=3)[0]["exitCode"] == 3
    assert [one["text"] for one in shell.json("--as", alice, "outbox")] == ["one", "two"]
    server.start()
    shell("--as", alice, "send", bob, "three")
    assert shell.json("--as", alice, "outbox") == []
    assert [one["text"] for one in shell.json("--as", bob, "history", alice)] == ["one", "two", "three"]


def test_a_log_out_without_a_server_is_possible_when_it_is_meant(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice = shell.register("alice")
    server.stop()
    assert "--forget" in shell("logout", code=3).stderr
    shell("logout", "--forget")
    assert f"cooee login {alice}" in shell("whoami", code=4).stderr


def test_listen_survives_the_end_of_the_server(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice, bob = shell.register("alice"), shell.register("bob")
    with shell.terminal("--as", bob, "listen") as listening:
        listening.expect(f"Connected as {bob}")
        server.kill9()
        listening.expect("The connection is gone")
        server.start()
        shell("--as", alice, "send", bob, "after all")
        listening.expect(f"{alice}: after all").expect("Connected again")
        listening.type("\x03")
        assert listening.wait() == 130


def test_a_server_is_administered_through_its_socket(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server(ACCOUNTS_REGISTRATION="invite")
    shell = Shell(tmp_path / "home", server.url)
    admin = ("admin", "--data-dir", str(server.data))
    invite = shell(*admin, "invites", "create").stdout.strip()
    assert shell.json("register", "alice", given=f"{PASSWORD}\n", code=1)[0]["code"] == "forbidden"
    shell("register", "alice", "--invite", invite, given=f"{PASSWORD}\n")
    made = shell.json(*admin, "users", "create", "bob", "--display-name", "Bob")[0]
    shell("login", "bob", given=made["password"] + "\n")
    listed = shell.json(*admin, "users", "list")
    assert [(one["type"], one["userId"], one["displayName"]) for one in listed] == [
        ("admin_user", "alice", "alice"),
        ("admin_user", "bob", "Bob"),
    ]
    shell(*admin, "users", "disable", "bob")
    shell("--as", "bob", "whoami", code=4)
    shell(*admin, "users", "enable", "bob")
    shell(*admin, "users", "reset-password", "bob", "--password-stdin", given="a third horse\n")
    shell("login", "bob", given="a third horse\n")
    shell(*admin, "users", "delete", "bob", "--yes")
    shell(*admin, "log-level", "warning")
    assert shell.json(*admin, "stats")[0]["url"] == server.url
    assert shell.json(*admin, "users", "create", "alice", code=1)[0]["code"] == "conflict"
    shell(*admin, "drain")
    assert server.wait() == 0
    assert shell.json(*admin, "stats", code=3)[0]["code"] == "unreachable"
    assert [one["userId"] for one in shell.json(*admin, "users", "list")] == ["alice", "bob"]
