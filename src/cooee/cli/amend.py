"""``cooee react``, ``edit``, ``delete`` and ``timer``: what is said of messages that are there."""

import re
import unicodedata

import click
import msgspec

from cooee.cli.amending import EDIT, REACT, TIMER, Amendment, TimerWish
from cooee.cli.choices import account_options
from cooee.cli.errors import usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CONVERSATION
from cooee.cli.operation import Tell
from cooee.cli.performing import perform
from cooee.cli.render import safe, span_text
from cooee.cli.sending import Noted, Prepared
from cooee.cli.targets import find_by_api
from cooee.client import Api

_NUMBER = click.argument("number", type=click.IntRange(min=1))
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d|w)", re.ASCII)
LONGEST_EMOJI = 10
"""Code points of one emoji: a couple that kisses, in two skin tones, has ten, and none has more (UTS #51)."""
_ZWJ, _KEYCAP = "\u200d", "\u20e3"
_MODIFIERS = frozenset(
    {"\ufe0e", "\ufe0f", _KEYCAP, *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))}
)
_REGIONAL = frozenset(map(chr, range(0x1F1E6, 0x1F200)))
_PICTURES = frozenset("‼⁉\u2139〰")
"""Emoji whose category is not that of a symbol."""
_NEWER = 0x1F000
"""Where emoji are that this Python does not know yet."""
_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@click.command()
@CONVERSATION
@_NUMBER
@click.argument("emoji", required=False)
@click.option("--remove", is_flag=True, help="Take your reaction back.")
@account_options
@pass_invocation
def react(invocation: Invocation, conversation: str, number: int, emoji: str | None, remove: bool) -> None:
    """React to the message NUMBER of a CONVERSATION by an EMOJI, in place of your former one.

    Example: cooee react bob 12 👍
    """
    if (emoji is None) != remove:
        raise usage("Say an emoji, or --remove: cooee react bob 12 👍")
    if emoji is not None and not is_emoji(emoji):
        raise usage(f"{safe(emoji[:LONGEST_EMOJI])!r} is not one emoji; for words: cooee send … --reply-to {number}")
    place = perform(invocation, REACT, Amendment(conversation, number, emoji or ""), _teller(invocation))
    invocation.tell(
        {
            "type": "reacted",
            "conversationId": place.conversation_id,
            "sequenceNumber": place.sequence_number,
            "emoji": emoji,
        },
        f"Message {number}: {safe(emoji)}" if emoji else f"Your reaction to message {number} is gone.",
    )


def is_emoji(text: str) -> bool:
    """Tell whether ``text`` looks like one emoji, as it is shown: a symbol, flag, keycap, or several joined to one.

    Symbols that are no emoji by UTS #51 pass too: the line is drawn against words, not by a table that ages.
    """
    if len(text) > LONGEST_EMOJI:
        return False
    pictures = regional = 0
    joined = False
    for letter in text:
        if letter in _MODIFIERS:
            continue
        if letter == _ZWJ:
            joined = True
            continue
        if letter in _REGIONAL:
            regional += 1
        elif _is_picture(letter) or (letter in "0123456789#*" and _KEYCAP in text):
            pictures += not joined
        else:
            return False
        joined = False
    return not joined and (pictures, regional) in {(1, 0), (0, 2)}


def _is_picture(letter: str) -> bool:
    if letter.isascii():
        return False
    category = unicodedata.category(letter)
    return category in {"So", "Sm"} or letter in _PICTURES or (category == "Cn" and ord(letter) >= _NEWER)


@click.command()
@CONVERSATION
@_NUMBER
@click.argument("text", nargs=-1, required=True)
@account_options
@pass_invocation
def edit(invocation: Invocation, conversation: str, number: int, text: tuple[str, ...]) -> None:
    """Give your own message NUMBER, or the caption of your file, another TEXT; all see that it was edited.

    Example: cooee edit bob 12 see you at nine
    """
    said = " ".join(text)
    if not said.strip():
        raise usage("Say the new text; `cooee delete` takes the message away.")
    place = perform(invocation, EDIT, Amendment(conversation, number, said), _teller(invocation))
    invocation.tell(
        {"type": "edited", "conversationId": place.conversation_id, "sequenceNumber": place.sequence_number},
        f"Message {number} is edited.",
    )


@click.command()
@CONVERSATION
@_NUMBER
@account_options
@pass_invocation
def delete(invocation: Invocation, conversation: str, number: int) -> None:
    """Delete the message NUMBER for everyone: your own, or any as an admin of the group."""

    async def deleting(api: Api) -> str:
        conversation_id, _ = await find_by_api(api, conversation, invocation.login().user_id)
        await api.delete_message(conversation_id, number)
        return conversation_id

    conversation_id = invocation.call(deleting)
    invocation.tell(
        {"type": "deleted", "conversationId": conversation_id, "sequenceNumber": number, "by": None},
        f"Message {number} is deleted for everyone.",
    )


@click.command()
@CONVERSATION
@click.argument("span", required=False)
@account_options
@pass_invocation
def timer(invocation: Invocation, conversation: str, span: str | None) -> None:
    """Let what is written in a CONVERSATION from now on disappear a SPAN after it is read; "off" ends that.

    SPAN is 30s, 5m, 8h, 7d or 2w. Without it: say how it stands. All members see the change. Whoever reads a message
    can keep a copy of it: this tidies up, and protects from nobody.

    \b
    Examples: cooee timer bob 7d
              cooee timer bob off
    """  # noqa: D301  # click needs the character itself
    stands = perform(invocation, TIMER, TimerWish(conversation, _span(span)), _teller(invocation))
    told = f"disappears {span_text(stands.ms)} after it is read" if stands.ms else "stays"
    invocation.tell(
        {"type": "timer", "conversationId": stands.conversation_id, "timer": stands.ms},
        f"What is written there {told}.",
    )


def _span(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "off":
        return 0
    matched = _SPAN.fullmatch(text)
    if matched is None or not int(matched[1]):
        raise usage(f"{text!r} is no length of time; write 30s, 5m, 8h, 7d, 2w, or off.")
    return int(matched[1]) * _MS[matched[2]]


def _teller(invocation: Invocation) -> Tell:
    """Return what shows how far the encryption is set up, and notes."""

    def tell(told: msgspec.Struct) -> None:
        match told:
            case Prepared():
                invocation.progress("Setting up encryption, by devices", told.done, told.total)
            case Noted():
                invocation.note(told.text)

    return tell
