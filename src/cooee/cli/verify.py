"""``cooee verify``: comparing safety numbers, so that both know that nobody stands between them."""

import sys
from typing import Literal

import click
import msgspec

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.codes import code_lines_for
from cooee.cli.errors import CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import USER
from cooee.cli.operation import Operation, Tell
from cooee.cli.performing import perform
from cooee.cli.reading import caught_up
from cooee.client import Client, SendFailed

Act = Literal["", "yes", "no", "accept"]
_A_LINE = 4
"""Groups of digits in a line."""


class VerifyWish(msgspec.Struct, frozen=True):
    """With whom, and what to note: ``yes`` compared, ``no`` not (any more), ``accept`` the new key is taken."""

    user_id: str
    act: Act = ""
    scanned: str = ""


class Number(msgspec.Struct, frozen=True):
    """A safety number and how the user stands. ``matches``: what was scanned says the same; None: nothing was."""

    digits: str
    qr: str
    verified: bool
    changed: bool
    matches: bool | None = None


async def _verify(client: Client, wish: VerifyWish, _: Tell) -> Number:
    if not client.encrypts:
        raise CliError("Encryption is off here (COOEE_ENCRYPTION, or a token): there is nothing to compare.")
    await caught_up(client)
    user_id = wish.user_id
    if user_id == client.me.user_id:
        raise CliError("That is you: name the one whom you chat with.")
    try:
        number = await client.safety_number(user_id)
        matches = None
        if wish.scanned:
            try:
                matches = number.matches(wish.scanned)
            except ValueError:
                raise CliError("That is no QR text of a safety number.", code="state") from None
        if wish.act == "accept":
            if not number.changed:
                raise CliError(f"The key of {user_id} has not changed: there is nothing to accept.")
            await client.accept_key(user_id)
        elif wish.act in {"yes", "no"} or matches:
            if number.changed and wish.act != "no":
                await client.accept_key(user_id)
            await client.set_verified(user_id, wish.act != "no")
    except SendFailed as problem:
        raise CliError(f"{problem.message[0].upper()}{problem.message[1:]}.", code=problem.code) from None
    after = await client.safety_number(user_id)
    return Number(after.digits, after.qr, after.verified, after.changed, matches)


VERIFY = Operation("verify", _verify, VerifyWish, Number)


@click.command()
@USER
@click.option("--yes", "act", flag_value="yes", help="Note that you compared the digits, and they were the same.")
@click.option("--no", "act", flag_value="no", help="Take that back.")
@click.option("--accept", "act", flag_value="accept", help="Take the new key, so that messages are sent again.")
@click.option(
    "--scanned", metavar="TEXT", default="", help="What the QR code on the other screen says: compared for you."
)
@account_options
@pass_invocation
def verify(invocation: Invocation, user: str, act: Act | None, scanned: str) -> None:
    """Show the safety number with USER, to be compared with what USER sees.

    Read the digits to each other, or scan the code, in person or by a call: not in this chat. If they are the same,
    nobody stands between you; note it with --yes. When USER's key changes after that, nothing is sent until you
    --accept it.

    \b
    Examples: cooee verify bob
              cooee verify bob --yes
    """  # noqa: D301  # click needs the character itself
    user_id = checked_user(user)
    if scanned and act:
        raise usage("--scanned notes by itself what it found; leave the other option out.")
    number = perform(invocation, VERIFY, VerifyWish(user_id, act or "", scanned))
    record = {
        "type": "safety_number",
        "userId": user_id,
        "digits": number.digits,
        "qr": number.qr,
        "verified": number.verified,
        "changed": number.changed,
        "matches": number.matches,
    }
    invocation.tell(record, *_lines(invocation, user_id, number, act or ""))
    if number.matches is False:
        raise CliError(
            f"What was scanned is not what {user_id} must see: somebody may stand between you.", code="key_changed"
        )


def _lines(invocation: Invocation, user_id: str, number: Number, act: Act) -> list[str]:
    """Return the digits and the code, or what was noted."""
    if act == "accept":
        return [f"{user_id}'s key is accepted: messages are sent again. It is not compared yet: cooee verify {user_id}"]
    if act == "no":
        return [f"{user_id} counts as not compared."]
    if act == "yes" or number.matches:
        return [f"{user_id} is verified: you will be told when the key changes, and nothing is sent then."]
    groups = [number.digits[at : at + 5] for at in range(0, len(number.digits), 5)]
    lines = ["  ".join(groups[at : at + _A_LINE]) for at in range(0, len(groups), _A_LINE)]
    if number.changed:
        state = f"The key has changed. If the digits are the same on both sides: cooee verify {user_id} --accept"
    elif number.verified:
        state = f"You compared it with {user_id} already."
    else:
        state = f"If {user_id} sees the same digits (cooee verify …): cooee verify {user_id} --yes"
    return [
        f"Your safety number with {user_id}:",
        "",
        *(f"  {line}" for line in lines),
        "",
        *code_lines_for(invocation.look, number.qr, terminal=sys.stdout.isatty()),
        state,
    ]
