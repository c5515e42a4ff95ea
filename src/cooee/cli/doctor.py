"""``cooee doctor``: how the client fares: connection, clock, store, encryption."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import aiohttp
import click
import msgspec

from cooee.app.doctor import Finding
from cooee.cli.choices import account_options
from cooee.cli.errors import REFUSED, CliError, explained, without_internals
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.operation import Operation, Tell
from cooee.cli.performing import perform_as
from cooee.cli.profile import Login, login_command
from cooee.cli.reading import caught_up
from cooee.cli.render import safe
from cooee.cli.sending import peer_of
from cooee.cli.store import in_use, place_of_key
from cooee.cli.vault import VaultFailed
from cooee.client import Api, Client, ConnectionFailed, ConversationView, CooeeClientError, SendFailed, ServerError
from cooee.client.e2ee.results import Diagnostics
from cooee.client.model import Account

Level = Literal["ok", "warning", "problem"]
MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}
CLOCK_WARNING_S, CLOCK_PROBLEM_S = 30.0, 300.0
"""How far this machine's clock may be from the server's."""
FEW_KEYS = 20
"""One-time keys below which there should be more already."""
OLD_KEY_MS = 21 * 24 * 60 * 60 * 1000
"""Age of a signed pre-key that should have been replaced: it is weekly, while the program runs."""
MOST_PEOPLE, PEOPLE_S = 200, 5.0
"""How many people's keys are looked at, and for how long."""


class Look(msgspec.Struct, frozen=True):
    """Nothing is to be said."""


class Fares(msgspec.Struct, frozen=True):
    """How a client fares. ``diagnostics`` None: it does not encrypt. ``blocked``: whose changed key blocks sending."""

    state: str
    transport: str
    reason: str
    diagnostics: Diagnostics | None
    device_id: str
    waiting_to_be_sent: int
    failed: int
    blocked: tuple[str, ...] = ()


async def _diagnose(client: Client, _: Look, __: Tell) -> Fares:
    await caught_up(client)
    connection, outbox = client.connection, await client.outbox()
    failed = sum(entry.status == "failed" for entry in outbox)
    return Fares(
        connection.state,
        connection.transport,
        connection.reason,
        client.diagnostics() if client.encrypts else None,
        client.me.device_id,
        len(outbox) - failed,
        failed,
        await _blocked(client) if client.encrypts and client.standing == "linked" else (),
    )


def people(views: Sequence[ConversationView], me: str) -> list[str]:
    """Return whom one writes to, those of direct chats first; `MOST_PEOPLE` at most."""
    peers = [peer_of(view.conversation_id, me) for view in views]
    members = [user_id for view in views if view.kind == "group" for user_id in sorted(view.members)]
    return list(dict.fromkeys(who for who in (*peers, *members) if who not in {"", me}))[:MOST_PEOPLE]


async def _blocked(client: Client) -> tuple[str, ...]:
    """Return who was verified and has another key now; of those only whose keys can be looked at soon."""
    found: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(PEOPLE_S):
            for user_id in people(await client.conversations(), client.me.user_id):
                with suppress(SendFailed, ServerError, ConnectionFailed):
                    number = await client.safety_number(user_id)
                    if number.verified and number.changed:
                        found.append(user_id)
    return tuple(found)


DIAGNOSE = Operation("diagnose", _diagnose, Look, Fares)


@click.command()
@account_options
@pass_invocation
def doctor(invocation: Invocation) -> None:
    """Look for what is wrong with this account, and say what to do.

    Connection, clock, what protects the store, whether the device is linked, keys in stock, messages that wait to
    be read or sent. Ends with 1 when there is a problem; warnings alone end with 0. `cooee admin doctor` looks at a
    server.
    """
    chosen = invocation.login()
    worst = False
    for finding in _findings(invocation, chosen):
        worst |= finding.level == "problem"
        advice = [f"        → {safe(finding.advice)}"] if finding.advice else []
        invocation.tell(
            {"type": "finding", **finding._asdict()},
            f"{MARKS[finding.level]} {finding.check}: {safe(finding.text)}",
            *advice,
        )
    if worst:
        raise click.exceptions.Exit(REFUSED)


def _findings(invocation: Invocation, chosen: Login) -> Iterator[Finding]:
    who = chosen.user_id or "a token from the environment"
    yield Finding("account", "ok", f"{who} at {chosen.url}, profile {chosen.profile}")
    yield from _server(invocation, chosen)
    yield from _store(invocation, chosen.store)
    try:
        fares = perform_as(invocation, chosen, DIAGNOSE, Look())
    except (CooeeClientError, CliError) as problem:
        told = explained(problem)
        yield Finding("client", "problem", told.message.rstrip("."), "see above, and `cooee whoami`")
        return
    again = login_command(chosen.profile, Account(chosen.url, chosen.user_id, chosen.device_id, ""))
    yield from connection(fares, again if chosen.user_id else "another token")
    yield from outbox(fares)
    if fares.diagnostics is None:
        level: Level = "warning" if chosen.user_id else "ok"
        advice = "unset COOEE_ENCRYPTION to encrypt" if chosen.user_id else ""
        yield Finding("encryption", level, "it is off: what is written is not encrypted", advice)
        return
    yield from encryption(fares.diagnostics, time.time_ns() // 1_000_000, logged_out=again if stopped(fares) else "")
    yield from contacts(fares)
    _tell_figures(invocation, fares.diagnostics)


def _server(invocation: Invocation, chosen: Login) -> Iterator[Finding]:
    async def asking() -> tuple[float, float | None]:
        async with Api(chosen.url, chosen.token) as api:
            await api.session()
            began = time.time()
            async with api.blob("GET", f"{api.url}/healthz", {}) as answer:
                took = time.time() - began
                return took, clock_offset(answer.headers, began + took / 2)

    try:
        took, offset = invocation.run(asking())
    except ConnectionFailed as problem:
        yield Finding(
            "server", "problem", without_internals(str(problem)).rstrip("."), "is it up, and the network there?"
        )
        return
    except (CooeeClientError, aiohttp.ClientError, TimeoutError) as problem:
        text = explained(problem).message.rstrip(".")
        yield Finding("server", "problem", text, "log in again, or see the server's log")
        return
    yield Finding("server", "ok", f"it answers in {took * 1000:.0f} ms, and takes the log-in")
    yield from clock(offset)


def clock_offset(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the server's; None: that does not tell its own."""
    try:
        return now_s - (parsedate_to_datetime(headers["Date"]).timestamp() + 0.5)  # it tells whole seconds
    except (KeyError, ValueError, TypeError):
        return None


def clock(offset_s: float | None) -> Iterator[Finding]:
    """Judge this machine's clock against the server's."""
    if offset_s is None:
        yield Finding("clock", "ok", "the server does not tell its time")
        return
    off = abs(offset_s)
    if off < CLOCK_WARNING_S:
        yield Finding("clock", "ok", "it agrees with the server's")
        return
    where = "ahead of" if offset_s > 0 else "behind"
    level: Level = "problem" if off >= CLOCK_PROBLEM_S else "warning"
    text = f"it is {off:.0f} s {where} the server's"
    advice = "set it: link codes, disappearing messages and times go by it"
    yield Finding("clock", level, text, advice)


def _store(invocation: Invocation, folder: Path) -> Iterator[Finding]:
    try:
        kept = place_of_key(folder)
        usable = invocation.profiles.vault.usable()
    except VaultFailed as failure:
        yield Finding(
            "store", "warning", f"the keyring does not work: {failure.message}", "see the keyring's own program"
        )
        return
    except CooeeClientError as problem:
        yield Finding("store", "problem", str(problem), "restore a backup: cooee store restore")
        return
    used = "; a program uses it now" if in_use(folder) else ""
    if kept is None:
        yield Finding("store", "ok", f"there is nothing in it yet{used}")
    elif kept == "file" and usable:
        text = f"it is encrypted, and its key lies beside it in a file{used}"
        yield Finding("store", "warning", text, "cooee store protect puts the key into the keyring")
    elif kept == "file":
        text = f"it is encrypted, and its key lies beside it in a file{used}"
        yield Finding("store", "ok", text, "a passphrase would protect it better: cooee store protect --passphrase")
    else:
        where = "in the keyring" if kept == "keyring" else "under a passphrase"
        yield Finding("store", "ok", f"it is encrypted, and its key is {where}{used}")


def stopped(fares: Fares) -> bool:
    """Tell whether the server takes this device no more: it was revoked, or logged out."""
    return fares.state == "stopped"


def connection(fares: Fares, again: str = "cooee login NAME") -> Iterator[Finding]:
    """Judge the client's own connection; ``again``: how one logs in again."""
    if stopped(fares):
        reason = without_internals(fares.reason).rstrip(".") or "the server refuses it"
        yield Finding("connection", "problem", f"the server does not take this device: {reason}", again)
    elif fares.state == "online":
        how = "long polling: no WebSocket gets through" if fares.transport == "longpoll" else "a WebSocket"
        level: Level = "warning" if fares.transport == "longpoll" else "ok"
        advice = "see whether a proxy between allows WebSockets" if level == "warning" else ""
        yield Finding("connection", level, f"it is there, by {how}", advice)
    else:
        reason = without_internals(fares.reason).rstrip(".") or "it takes long"
        yield Finding("connection", "problem", f"it is not there: {reason}", "what is written goes out when it is")


def outbox(fares: Fares) -> Iterator[Finding]:
    """Judge what was not sent."""
    if fares.failed:
        yield Finding("outbox", "warning", f"{fares.failed} messages could not be sent", "cooee outbox lists them")
    elif fares.waiting_to_be_sent:
        text = f"{fares.waiting_to_be_sent} messages wait to be sent"
        yield Finding("outbox", "warning", text, "they go out with `cooee listen`")
    else:
        yield Finding("outbox", "ok", "everything was sent")


def contacts(fares: Fares) -> Iterator[Finding]:
    """Name those to whom nothing is sent, since their key has changed after it was compared."""
    for user_id in fares.blocked:
        text = f"{user_id}'s key has changed since you compared it; nothing goes to {user_id} and common groups"
        advice = f"compare the digits: cooee verify {user_id}; then: cooee verify {user_id} --accept"
        yield Finding("contacts", "problem", text, advice)


def encryption(told: Diagnostics, now_ms: int, *, logged_out: str = "") -> Iterator[Finding]:
    """Judge how end-to-end encryption fares. ``logged_out``: the server takes this device no more; how to log in again.

    What such a device knows of itself holds no more.
    """
    if logged_out:
        text = "it was revoked or logged out: it reads and writes nothing any more"
        yield Finding("device", "problem", text, f"log in again: {logged_out}; then link it: cooee devices link")
        return
    if told.standing == "linked":
        yield Finding("device", "ok", f"it is linked (device list {told.list_version}, {told.sessions} sessions)")
    elif told.standing == "unlinked":
        advice = "cooee devices link; or, when no linked device is left, cooee devices start-anew"
        yield Finding("device", "problem", "it is not linked: it reads and writes nothing encrypted", advice)
    else:
        yield Finding(
            "device", "warning", "its keys are not published yet", "they are while `cooee listen` runs online"
        )
    least = min(told.one_time_pre_keys, told.one_time_kem_keys)
    text = f"{told.one_time_pre_keys} one-time keys and {told.one_time_kem_keys} for the quantum-safe part are in stock"
    few = told.standing == "linked" and least < FEW_KEYS
    yield Finding(
        "keys", "warning" if few else "ok", text, "they are made anew while `cooee listen` runs" if few else ""
    )
    if told.signed_pre_key_at and now_ms - told.signed_pre_key_at > OLD_KEY_MS:
        days = (now_ms - told.signed_pre_key_at) // 86_400_000
        yield Finding(
            "keys", "warning", f"the signed key is {days} days old", "it is renewed while `cooee listen` runs"
        )
    if told.waiting:
        text = f"{told.waiting} messages wait for their keys"
        how = "they come by themselves when their senders' devices are online"
        yield Finding("messages", "warning", text, how if told.standing == "linked" else "link this device first")
    else:
        yield Finding("messages", "ok", "none waits for its key")
    if told.outbound or told.held:
        text = f"{told.outbound} notes to other devices wait to be sent, {told.held} of others to be understood"
        yield Finding("devices", "ok", text)


def _tell_figures(invocation: Invocation, told: Diagnostics) -> None:
    """Tell what was counted since the client was opened."""
    figures = {name: value for name, value in told._asdict().items() if name != "counts"}
    names = {name: "".join(part.title() if at else part for at, part in enumerate(name.split("_"))) for name in figures}
    record = {"type": "diagnostics", **{names[name]: value for name, value in figures.items()}}
    counted = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(told.counts.items()) if count)
    lines = [f"        counted since the start: {counted}"] if counted else []
    invocation.tell({**record, "counts": dict(told.counts)}, *lines)
