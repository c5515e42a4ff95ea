"""What is said of messages that cannot be read yet."""

from cooee.cli.trouble import HOW_TO_LINK, waiting_text


def test_where_nothing_waits_nothing_is_said() -> None:
    assert waiting_text(0, unlinked=False) == ""


def test_what_waits_is_counted_and_an_unlinked_device_is_told_how_to_link() -> None:
    assert waiting_text(1, unlinked=False).startswith("1 message waits for keys")
    assert waiting_text(2, unlinked=False).startswith("2 messages wait for keys")
    assert "devices link" not in waiting_text(2, unlinked=False)
    assert waiting_text(0, unlinked=True) == f"{HOW_TO_LINK}."
    assert waiting_text(1_000, unlinked=True) == f"1,000 messages wait to be read here. {HOW_TO_LINK}."
