"""What counts as one emoji for a reaction."""

from collections.abc import Callable

import pytest
from click.testing import Result

from cooee.cli.amend import LONGEST_EMOJI, is_emoji
from cooee.cli.errors import USAGE
from cooee.protocol.body import MAX_EMOJI

KISS = "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏽"
FAMILY = "👨\u200d👩\u200d👧\u200d👦"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    "emoji",
    [
        "👍",
        "👍🏾",
        "❤",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "#\u20e3",
        "🇩🇪",
        "‼\ufe0f",
        "\u2139\ufe0f",
        "↔",
        KISS,
        FAMILY,
        SCOTLAND,
    ],
)
def test_one_emoji_is_taken(emoji: str) -> None:
    assert is_emoji(emoji)
    assert len(emoji) <= LONGEST_EMOJI <= MAX_EMOJI


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ok",
        "+1",
        "1",
        ":)",
        "ж",
        "好",
        "👍👍",
        "👍 ",
        "👍!",
        "🇩",
        "🇩🇪🇫",
        "\ufe0f",
        "\u200d",
        "👍\u200d",
        "12\u20e3",
        "\x1b",
        "👍" + "\ufe0f" * LONGEST_EMOJI,
    ],
)
def test_what_is_no_emoji_is_not(text: str) -> None:
    assert not is_emoji(text)


def test_words_are_refused_before_anything_is_asked(cooee: Callable[..., Result], home: object) -> None:
    refused = cooee("react", "bob", "1", "great")
    assert refused.exit_code == USAGE
    assert "not one emoji" in refused.stderr
