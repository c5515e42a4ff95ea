"""``cooee devices``: the own devices, linking a new one, logging one out, and beginning anew."""

import sys
from contextlib import suppress

import click
import msgspec

from cooee.cli.choices import account_options
from cooee.cli.codes import code_lines_for
from cooee.cli.errors import CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.linking import BE_LINKED, LINK, LOOK_AT_CODE, Came, LinkWish, Shown, Step, standing_of
from cooee.cli.operation import Operation, Tell
from cooee.cli.performing import encryption_of, perform, perform_as
from cooee.cli.reading import online
from cooee.cli.records import record
from cooee.cli.render import clock, safe, table
from cooee.cli.secret_input import password, password_stdin
from cooee.client import Client, SendFailed
from cooee.client.encryption import OwnDevice
from cooee.protocol import http


class Devices(msgspec.Struct, frozen=True):
    """The own devices; ``linked``: those that read and write encrypted messages."""

    devices: tuple[http.Device, ...]
    linked: frozenset[str]


async def _devices(client: Client, _: Step, __: Tell) -> Devices:
    with suppress(Exception):
        await online(client)  # what is linked is known better then
        await standing_of(client)
    found: list[OwnDevice] = list(await client.devices())
    return Devices(tuple(one.device for one in found), frozenset(one.device.device_id for one in found if one.linked))


DEVICES = Operation("devices", _devices, Step, Devices)


class RevokeWish(msgspec.Struct, frozen=True):
    """The device to log out; ``lost``: somebody else may have it; then the password is needed."""

    device_id: str
    lost: bool = False
    password: str = ""

    def __repr__(self) -> str:
        return f"RevokeWish({self.device_id})"


async def _revoke(client: Client, wish: RevokeWish, _: Tell) -> bool:
    await online(client)
    if wish.device_id not in {one.device.device_id for one in await client.devices()}:
        raise CliError("There is no such device of yours; `cooee devices` lists them.", code="not_found")
    try:
        await client.revoke_device(wish.device_id, lost=wish.lost, password=wish.password)
    except SendFailed as problem:
        raise _failed(problem) from None
    except TimeoutError:
        raise CliError(
            "The server does not answer; nobody knows whether the device is out. Look: cooee devices", code="timeout"
        ) from None
    return True


REVOKE = Operation("revoke", _revoke, RevokeWish, bool)


class AnewWish(msgspec.Struct, frozen=True):
    """The account's password."""

    password: str

    def __repr__(self) -> str:
        return "AnewWish(…)"


async def _start_anew(client: Client, wish: AnewWish, _: Tell) -> bool:
    await online(client)
    try:
        await client.start_anew(wish.password)
    except SendFailed as problem:
        raise _failed(problem) from None
    return True


START_ANEW = Operation("start_anew", _start_anew, AnewWish, bool)


def _failed(problem: SendFailed) -> CliError:
    return CliError(f"{problem.message[0].upper()}{problem.message[1:]}.", code=problem.code)


# --- commands


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def devices(context: click.Context) -> None:
    """List your devices, link new ones and revoke them. Without a command: list them.

    Only linked devices read and write encrypted messages: the first one of an account is, later ones are linked by one
    that is.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_devices)


@devices.command("list")
@account_options
@pass_invocation
def list_devices(invocation: Invocation) -> None:
    """List your devices, and which of them are linked."""
    chosen = invocation.login()
    if encryption_of(chosen) == "on":
        found = perform_as(invocation, chosen, DEVICES, Step())
    else:
        found = Devices(tuple(invocation.call(lambda api: api.devices())), frozenset())
    for device in found.devices:
        invocation.tell(record("device", device, linked=device.device_id in found.linked))
    now = invocation.now
    rows = [
        (
            device.device_id,
            safe(device.name),
            safe(device.type),
            clock(device.last_seen, now),
            _state(device, linked=device.device_id in found.linked, known=device.current or bool(found.linked)),
        )
        for device in found.devices
    ]
    invocation.say(*table(invocation.look, ("DEVICE", "NAME", "TYPE", "LAST SEEN", ""), rows))
    if encryption_of(chosen) == "on" and not any(
        one.current and one.device_id in found.linked for one in found.devices
    ):
        invocation.note("This device is not linked: `cooee devices link` shows its code.")


@devices.command()
@click.argument("code", required=False)
@click.option("--yes", is_flag=True, help="With CODE: link without asking.")
@account_options
@pass_invocation
def link(invocation: Invocation, code: str | None, yes: bool) -> None:
    """Link a device to your account: without CODE this new one, with CODE another one that shows it.

    A new device shows a code, and waits. Type the code on a device that is linked: it says what will be linked, and
    asks. The new device then gets the keys of the messages so far, and reads them. A code is good for ten minutes.

    \b
    Examples: cooee devices link
              cooee devices link AEFIB-K3XQ7-…
    """  # noqa: D301  # click needs the character itself
    if code is None:
        if yes:
            raise usage("--yes goes with a CODE: on the device that links another one.")
        _be_linked(invocation)
        return
    wish = LinkWish(code)
    seen = perform(invocation, LOOK_AT_CODE, wish)
    invocation.say(
        f"Device:      {safe(seen.name)} ({safe(seen.type)}, {seen.device_id})",
        f"Fingerprint: {_in_groups(seen.fingerprint)}",
    )
    if not yes:
        invocation.confirm(
            "It will read and write all your messages as you do. Is this the device before you, with this fingerprint?"
        )
    perform(invocation, LINK, wish, lambda told: _show_came(invocation, told, "Sending the history"))
    invocation.tell({"type": "device_linked", "deviceId": seen.device_id}, f"{safe(seen.name)} is linked.")


def _be_linked(invocation: Invocation) -> None:
    def tell(told: msgspec.Struct) -> None:
        if isinstance(told, Shown):
            invocation.tell(
                {
                    "type": "link_code",
                    "code": told.code,
                    "qr": told.qr,
                    "fingerprint": told.fingerprint,
                    "expiresAt": told.expires_at,
                },
                *code_lines_for(invocation.look, told.qr, terminal=sys.stdout.isatty()),
                "On a device that is linked already, type:",
                "",
                f"  cooee devices link {told.code}",
                "",
                f"There it shows the fingerprint {_in_groups(told.fingerprint)}; it must be the same.",
            )
            invocation.note("The code is good for ten minutes. Waiting; Ctrl-C ends that, and changes nothing.")
            return
        _show_came(invocation, told, "Fetching the history")

    done = perform(invocation, BE_LINKED, Step(), tell)
    told = {
        "already": "This device is linked already; to link another one: cooee devices link CODE",
        "history": "This device is linked, and has the keys of your messages: `cooee history` reads them.",
        "linked": "This device is linked. The history of older messages comes while `cooee listen` runs.",
    }[done.how]
    invocation.tell({"type": "device_linked", "deviceId": done.device_id, "history": done.how == "history"}, told)


def _show_came(invocation: Invocation, told: msgspec.Struct, doing: str) -> None:
    if isinstance(told, Came):
        invocation.progress(doing, told.done, told.total)


@devices.command()
@click.argument("device")
@click.option("--lost", is_flag=True, help="Somebody else may have it: your account gets new keys.")
@click.option("--yes", is_flag=True, help="With --lost: do not ask.")
@password_stdin
@account_options
@pass_invocation
def revoke(invocation: Invocation, device: str, lost: bool, yes: bool, password_stdin: bool) -> None:
    """Log DEVICE out for good; its connections are closed at once, and it reads nothing that is written from now on.

    With --lost also the keys of your account are replaced, in case somebody took them from it: your other devices have
    to be linked anew, and your contacts are told that your key has changed.
    """
    chosen = invocation.login()
    if encryption_of(chosen) == "off":
        if lost:
            raise usage("--lost is about encryption, which is off here.")
        invocation.call(lambda api: api.revoke_device(device))
    else:
        secret = ""
        if lost:
            if not yes:
                invocation.confirm(
                    "Your account gets new keys. Other devices have to be linked anew, contacts are told. Go on?"
                )
            secret = password("Password", from_stdin=password_stdin)
        perform_as(invocation, chosen, REVOKE, RevokeWish(device, lost, secret))
    invocation.tell({"type": "device_revoked", "deviceId": device}, f"Revoked {safe(device)}.")


@devices.command("start-anew")
@click.option("--yes", is_flag=True, help="Do not ask.")
@password_stdin
@account_options
@pass_invocation
def start_anew(invocation: Invocation, yes: bool, password_stdin: bool) -> None:
    """Begin anew with this device alone, when no linked device is left that could link it.

    What is lost: encrypted messages so far cannot be read here, unless a backup is restored (`cooee store
    restore`); your other devices have to be linked anew; and your contacts are told that your key has changed, and
    must accept it if they had compared it.
    """
    chosen = invocation.login()
    if encryption_of(chosen) == "off":
        raise usage("Encryption is off here: there is nothing to begin anew.")
    if not yes:
        invocation.confirm(
            "Encrypted messages so far stay unreadable here, your other devices have to be linked anew, and your "
            "contacts are told that your key has changed.\nIf you have a linked device, end here and run: "
            "cooee devices link\nBegin anew?"
        )
    secret = password("Password", from_stdin=password_stdin)
    perform_as(invocation, chosen, START_ANEW, AnewWish(secret))
    invocation.tell(
        {"type": "started_anew", "deviceId": chosen.device_id},
        "Done: this device is linked, with new keys of the account.",
    )


def _state(device: http.Device, *, linked: bool, known: bool) -> str:
    """Return how a device stands; ``known``: this one may tell, being linked itself, or the one that is meant."""
    told = ["this one"] if device.current else [] if device.logged_in else ["logged out"]
    return ", ".join([*told, *(["linked"] if linked else ["not linked"] if device.logged_in and known else [])])


def _in_groups(digits: str) -> str:
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
