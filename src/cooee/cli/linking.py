"""Linking devices, as the clients on both sides do it: one shows a code and waits, the other takes it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Literal

import msgspec

from cooee.cli.errors import CliError
from cooee.cli.operation import Operation, Tell
from cooee.cli.reading import online
from cooee.client import Client, ConnectionFailed, DeviceLinked, EncryptionProblem, Event, SendFailed, SetupProgress
from cooee.crypto import link
from cooee.crypto.errors import CryptoError

PATIENCE_S = 60.0
"""How long linking may take once the code was taken."""
HISTORY_S = 20.0
"""How long the history is waited for, without any sign of it."""
READY_S = 15.0
"""How long the publishing of keys may take before one goes on without."""
_LOOK_S = 0.1
_READY_LOOK_S = 0.02


class Step(msgspec.Struct, frozen=True):
    """Nothing is to be said."""


class Shown(msgspec.Struct, frozen=True, tag="code"):
    """What a new device shows: the code for typing and for a camera, its fingerprint, when it ends (ms)."""

    code: str
    qr: str
    fingerprint: str
    expires_at: int


class Came(msgspec.Struct, frozen=True, tag="came"):
    """How far the history is on its way, in bytes."""

    done: int
    total: int


class Linked(msgspec.Struct, frozen=True):
    """The device is linked: it was ``already``, the ``history`` came too, or not (yet)."""

    device_id: str
    how: Literal["already", "history", "linked"]


class LinkWish(msgspec.Struct, frozen=True):
    """A code, as typed or scanned."""

    code: str

    def __repr__(self) -> str:
        return "LinkWish(…)"


class Candidate(msgspec.Struct, frozen=True):
    """Which device a code is of; the fingerprint is in hexadecimal."""

    device_id: str
    name: str
    type: str
    fingerprint: str


Told = Shown | Came


class Ready(msgspec.Struct, frozen=True):
    """How a device stands after its log-in: ``linked``, ``unlinked``, or ``preparing`` where that takes its time."""

    standing: Literal["preparing", "unlinked", "linked"]


async def standing_of(client: Client) -> Literal["preparing", "unlinked", "linked"]:
    """Return how this device stands, once its keys are published, or after a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while client.standing == "preparing":  # noqa: ASYNC110  # a few looks
                await asyncio.sleep(_READY_LOOK_S)
    return client.standing


async def _prepare(client: Client, _: Step, __: Tell) -> Ready:
    return Ready(await standing_of(client))


PREPARE = Operation("prepare", _prepare, Step, Ready, live=False)
"""Publish the keys of a device that has just logged in; the first one of an account links itself."""


# --- the new device


async def _be_linked(client: Client, _: Step, tell: Tell) -> Linked:
    _must_encrypt(client)
    await online(client)
    device_id = client.me.device_id
    async with aclosing(client.events()) as events:
        try:
            code = await client.link_code()
        except SendFailed:
            return Linked(device_id, "already")
        except TimeoutError:
            raise ConnectionFailed("the server does not take this device's keys") from None
        fingerprint = link.parse(code.qr).fingerprint.hex()
        tell(Shown(code.text, code.qr, fingerprint, time.time_ns() // 1_000_000 + link.LIFETIME_MS))
        try:
            async with asyncio.timeout(link.LIFETIME_MS / 1000):
                await _until_linked(client)
        except TimeoutError:
            raise CliError("The code has run out; run it again for a new one.", code="timeout") from None
        how: Literal["history", "linked"] = "linked"
        with suppress(TimeoutError, StopAsyncIteration):
            while how == "linked":
                async with asyncio.timeout(HISTORY_S):
                    event = await anext(events)
                if isinstance(event, SetupProgress) and not event.conversation_id:
                    tell(Came(event.done, event.total))
                    if event.done >= event.total:
                        how = "history"
        if how == "history":
            await _settle(client)
    return Linked(device_id, how)


async def _until_linked(client: Client) -> None:
    """Wait; says at once when the answer was none that can be trusted."""
    waiting = asyncio.create_task(client.linked(), name="cooee-link")
    failing = asyncio.create_task(_failure(client), name="cooee-link-failure")
    try:
        await asyncio.wait((waiting, failing), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise CliError(failing.result(), code="link_failed")
        waiting.result()
    finally:
        for task in (waiting, failing):
            task.cancel()
        await asyncio.gather(waiting, failing, return_exceptions=True)


async def _failure(client: Client) -> str:
    async with aclosing(client.events()) as events:
        async for event in events:
            if isinstance(event, EncryptionProblem) and event.code == "link_failed":
                return f"It was not linked: {event.text}. Run it again for a new code."
    return "The connection ended; run it again."


async def _settle(client: Client) -> None:
    """Give what came a moment to be stored."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HISTORY_S):
            while client.diagnostics().outbound:  # noqa: ASYNC110  # a few looks
                await asyncio.sleep(_LOOK_S)


BE_LINKED = Operation("be_linked", _be_linked, Step, Linked, told=Told)


# --- the old device


async def _look_at_code(client: Client, wish: LinkWish, _: Tell) -> Candidate:
    _must_encrypt(client)
    try:
        code = link.parse(wish.code)
    except CryptoError as problem:
        raise CliError(f"{str(problem)[0].upper()}{str(problem)[1:]}; look at it again.", code="bad_frame") from None
    if code.device.user_id != client.me.user_id:
        raise CliError("That is the code of another account's device.", code="forbidden")
    if code.device == client.me:
        raise CliError("That is this device's own code: type it on a device that is linked already.")
    await online(client)
    if client.standing != "linked":
        raise CliError("This device is not linked itself: type the code on one that is.", code="not_linked")
    for one in await client.devices():
        if one.device.device_id == code.device.device_id:
            if one.linked:
                raise CliError("That device is linked already.", code="conflict")
            return Candidate(one.device.device_id, one.device.name, one.device.type, code.fingerprint.hex())
    raise CliError("There is no such device of yours (any more): log in there, and take a new code.", code="not_found")


LOOK_AT_CODE = Operation("look_at_code", _look_at_code, LinkWish, Candidate)


async def _link(client: Client, wish: LinkWish, tell: Tell) -> bool:
    candidate = await _look_at_code(client, wish, tell)
    async with aclosing(client.events()) as events:
        try:
            await client.link(wish.code)
        except SendFailed as problem:
            raise CliError(f"{problem.message[0].upper()}{problem.message[1:]}.", code=problem.code) from None
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for event in events:
                    match event:
                        case DeviceLinked(device_id=candidate.device_id):
                            break
                        case EncryptionProblem(code="link_failed"):
                            raise CliError(f"It was not linked: {event.text}.", code=event.code)
                        case EncryptionProblem(code="list_refused"):
                            raise CliError(f"It was not linked: {event.text}.", code=event.code)
        except TimeoutError:
            raise CliError("The server does not answer; it goes on with `cooee listen`.", code="timeout") from None
        await _hand_over(client, events, tell)
    return True


async def _hand_over(client: Client, events: AsyncIterator[Event], tell: Tell) -> None:
    """Wait until the new device has been sent what it needs: the account's key, and the archive of message keys."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            async for event in events:
                if isinstance(event, SetupProgress) and not event.conversation_id:
                    tell(Came(event.done, event.total))
                    if event.done >= event.total:
                        break
            await asyncio.sleep(_LOOK_S)
            while client.diagnostics().outbound:  # noqa: ASYNC110  # a few looks
                await asyncio.sleep(_LOOK_S)


LINK = Operation("link", _link, LinkWish, bool, told=Came)


def _must_encrypt(client: Client) -> None:
    if not client.encrypts:
        raise CliError("Encryption is off here (COOEE_ENCRYPTION, or a token): there is nothing to link.")
