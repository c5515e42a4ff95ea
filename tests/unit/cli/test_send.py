"""The text that is sent, and the ticks of one message: in order, each once."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from cooee.cli.choices import Choices
from cooee.cli.errors import UNREACHABLE
from cooee.cli.invocation import Invocation
from cooee.cli.sending import refused
from cooee.cli.ticks import TickLine, Ticks, not_sent_yet
from cooee.client import SendFailed, TickChanged
from cooee.client.model import Account

Cooee = Callable[..., Result]
LogIn = Callable[..., Account]
CHAT = "dm:alice:bob"


def ticks(*, as_json: bool = False) -> Ticks:
    choices = Choices()
    choices.as_json = as_json
    return Ticks(TickLine(Invocation(choices)).show, CHAT, "c1")


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_ticks_are_shown_in_order(home: object, capsys: pytest.CaptureFixture[str]) -> None:
    one = ticks()
    one.take(TickChanged(CHAT, "sent", 7, "c1"))
    one.take(TickChanged(CHAT, "delivered", 7))
    assert not one.done("read")
    one.take(TickChanged(CHAT, "read", 8))
    assert one.done("read")
    assert shown(capsys) == ["✓ sent", "✓✓ delivered", "✓✓ read"]


def test_what_read_implies_is_not_passed_over(home: object, capsys: pytest.CaptureFixture[str]) -> None:
    one = ticks(as_json=True)
    one.take(TickChanged(CHAT, "sent", 7, "c1"))
    one.take(TickChanged(CHAT, "read", 7))
    one.take(TickChanged(CHAT, "delivered", 7))
    told = [json.loads(line) for line in shown(capsys)]
    assert [tick["status"] for tick in told] == ["sent", "delivered", "read"]
    assert told[2] == {
        "type": "tick",
        "status": "read",
        "conversationId": CHAT,
        "clientMessageId": "c1",
        "sequenceNumber": 7,
    }


def test_ticks_of_earlier_and_other_messages_do_not_count(home: object, capsys: pytest.CaptureFixture[str]) -> None:
    one = ticks()
    one.take(TickChanged(CHAT, "sent", 6, "c0"))
    one.take(TickChanged(CHAT, "read", 6))
    assert shown(capsys) == []
    one.take(TickChanged(CHAT, "sent", 7, "c1"))
    assert shown(capsys) == ["✓ sent"]


def test_a_tick_may_come_before_the_number_is_known(home: object, capsys: pytest.CaptureFixture[str]) -> None:
    one = ticks()
    one.take(TickChanged(CHAT, "delivered", 7))
    one.take(TickChanged(CHAT, "sent", 7, "c1"))
    assert shown(capsys) == ["✓ sent", "✓✓ delivered"]


def test_a_refused_message_raises_its_reason(home: object) -> None:
    with pytest.raises(SendFailed, match="no more") as problem:
        ticks().take(TickChanged(CHAT, "failed", None, "c1", code="blocked", reason="no more"))
    assert problem.value.code == "blocked"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("-",), b""),
        ((), b"\n"),
        (("-",), b"\xff\xfe"),
        (("-",), b"x" * (1024 * 1024 + 1)),
    ],
)
def test_standard_input_that_is_no_message_is_wrong_usage(
    cooee: Cooee, log_in: LogIn, arguments: tuple[str, ...], given: bytes
) -> None:
    log_in("alice")
    result = cooee("send", "bob", *arguments, given=given)
    assert result.exit_code == 2
    assert "standard input" in result.stderr


def test_an_unreachable_server_keeps_the_message(cooee: Cooee, log_in: LogIn) -> None:
    log_in("alice")
    result = cooee("send", "bob", "-", given="one\ntwo\n")
    assert result.exit_code == UNREACHABLE
    assert "cooee outbox" in result.stderr
    kept = [json.loads(line) for line in cooee("outbox", "--json").stdout.splitlines()]
    assert [(entry["conversationId"], entry["text"], entry["status"]) for entry in kept] == [
        (CHAT, "one\ntwo", "pending")
    ]
    assert "waits" in cooee("outbox").stdout
    assert cooee("outbox", "discard", "nothing").exit_code == 1


@pytest.mark.parametrize(
    ("reason", "told"), [("is it up?", "is it up? The"), ("gone", "gone. The"), ("gone.", "gone. The")]
)
def test_why_something_waits_is_one_sentence(reason: str, told: str) -> None:
    assert f"Not sent yet: {told} message is kept" in str(not_sent_yet(reason))


def test_a_text_that_can_never_be_sent_is_refused_at_once(cooee: Cooee, log_in: LogIn) -> None:
    log_in("alice")
    result = cooee("send", "bob", "-", "--json", given="x" * 50_000)
    assert result.exit_code == 1
    assert json.loads(result.stderr)["code"] == "too_large"
    assert cooee("outbox").stdout == ""


@pytest.mark.parametrize("conversation_id", ["group:g", "dm:alice:bob"])
def test_who_has_another_key_is_named_in_a_group_too(conversation_id: str) -> None:
    problem = SendFailed("key_changed", "the keys of bob have changed: compare or accept them first")
    told = str(refused(problem, conversation_id, "alice"))
    assert "bob's key has changed" in told
    assert "cooee verify bob --accept" in told


def test_a_refusal_that_names_nobody_is_told_as_it_is() -> None:
    assert "something else: cooee verify NAME" in str(
        refused(SendFailed("key_changed", "something else"), "group:g", "alice")
    )
