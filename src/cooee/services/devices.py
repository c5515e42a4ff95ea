"""Devices: log in, be known by a token, log out, be revoked (PROTOCOL.md §11)."""

import hmac
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.groups import clean_name
from cooee.domain.ids import DEVICE_ID, DeviceRef, is_user_id
from cooee.domain.scopes import EVERYTHING, Scope
from cooee.ports.accounts import Account, Accounts
from cooee.ports.clock import Clock
from cooee.ports.cursors import Cursors
from cooee.ports.devices import Device, Devices
from cooee.ports.sessions import Sessions
from cooee.protocol import http
from cooee.protocol.codes import CloseCode
from cooee.services.budgets import Budgets
from cooee.services.own_state import OwnState
from cooee.services.passwords import Passwords
from cooee.services.routes import Routes
from cooee.services.secrets import hash_token, new_device_id, new_token
from cooee.services.steady_time import SteadyTime
from cooee.services.token_cache import TokenCache

_DAY_MS = 86_400_000
_TOUCH_AFTER_MS = 3_600_000
_SWEEP = 500
MAX_DEVICE_NAME = 64


class DeviceStores(NamedTuple):
    """What `DeviceService` reads and writes."""

    accounts: Accounts
    devices: Devices
    cursors: Cursors
    sessions: Sessions


class DeviceSettings(msgspec.Struct, frozen=True):
    """Days until an unused device ends, seconds a token is believed without a look at the store, tokens so kept.

    For the first ``settle_s`` seconds nothing is revoked as idle: a clock that was wrong at boot is set right by then.
    """

    token_idle_days: int = 90
    cache_s: float = 5.0
    cached_tokens: int = 50_000
    settle_s: float = 600.0


class Login(NamedTuple):
    """What a client asks for when it logs in; ``address`` is where it comes from."""

    address: str
    user_id: str
    password: str
    name: str
    type: str
    device_id: str | None = None


def as_device(device: Device, current: DeviceRef) -> http.Device:
    """Return a device as its user sees it from his ``current`` one."""
    return http.Device(
        device.device_id,
        device.name,
        device.type,
        device.created_at,
        device.last_seen,
        bool(device.token_hash),
        device.ref == current,
    )


def unauthorized() -> CooeeError:
    """Build the one answer to a token that is none, has ended, or was revoked."""
    return CooeeError(ErrorCode.UNAUTHORIZED, "the token is not valid; log in again")


def _wrong() -> CooeeError:
    return CooeeError(ErrorCode.UNAUTHORIZED, "the name or the password is wrong")


class DeviceService:
    """The use cases of devices. Tokens are kept as hashes; who has only the store can log in as nobody."""

    def __init__(
        self,
        stores: DeviceStores,
        passwords: Passwords,
        budgets: Budgets,
        routes: Routes,
        own_state: OwnState,
        clock: Clock,
        settings: DeviceSettings = DeviceSettings(),  # noqa: B008  # frozen
    ) -> None:
        self._accounts, self._devices, self._cursors, self._sessions = stores
        self._passwords = passwords
        self._budgets = budgets
        self._routes = routes
        self._own_state = own_state
        self._clock = clock
        self._settings = settings
        self._known = TokenCache(clock, settings.cache_s, settings.cached_tokens)
        self._steady = SteadyTime(clock)
        self._seen: set[DeviceRef] = set()
        self.revoked: Callable[[Collection[str]], None] = _nobody
        """Is called with the users whose devices were revoked: they have no keys any more."""
        self._expiring: dict[DeviceRef, int] = {}

    async def log_in(self, login: Login) -> tuple[str, Device]:
        """Check name and password and return a new token with its device.

        A wrong name takes as long as a wrong password and gets the same answer. An existing ``device_id`` keeps its
        cursors, keys and queues; its former token ends. A new device starts at what the user has been delivered.

        Raises:
            CooeeError: ``unauthorized``, ``forbidden`` for a disabled account, ``rate_limited``, ``bad_frame``,
                ``not_found`` for a device that the account does not have.
        """
        name = clean_name(login.name, "the device's name", MAX_DEVICE_NAME)
        kind = clean_name(login.type, "the device's type", 32)
        self.spend_log_in(login.address, login.user_id)
        account = await self._proven(login.user_id, login.password)
        token = new_token()
        if login.device_id is None:
            device = await self._new_device(account.user_id, name, kind, hash_token(token))
        else:
            device = await self._back_again(account.user_id, login.device_id, hash_token(token))
        await self._still(account, device.ref)
        await self._own_state.changed(device.ref, "devices")
        return token, device

    async def enrol(
        self, user_id: str, name: str, kind: str, scopes: frozenset[Scope] = EVERYTHING, expires_at: int = 0
    ) -> tuple[str, Device]:
        """Return a new token with its new device, for the operator or the owner of a bot; who asks proves nothing.

        Raises:
            CooeeError: ``bad_frame``, or ``not_found`` when there is no such account (any more).
        """
        token = new_token()
        name, kind = clean_name(name, "the device's name", MAX_DEVICE_NAME), clean_name(kind, "the device's type", 32)
        return token, await self._new_device(user_id, name, kind, hash_token(token), scopes, expires_at)

    async def attach(self, bot_id: str, kind: str) -> Device:
        """Return a new device of a bot that no token opens: the server itself acts for it.

        Raises:
            CooeeError: ``not_found`` when there is no such account (any more).
        """
        return await self._new_device(bot_id, kind, kind, b"", frozenset())

    def spend_log_in(self, address: str, user_id: str) -> None:
        """Count an attempt to prove who one is; ``rate_limited`` when there were too many."""
        self._budgets.spend_for_address("log_ins_per_address", address)
        self._budgets.spend_for_address("log_ins_per_account_and_address", address, f"{user_id[:64]} ")

    async def authenticate(self, token: str) -> Device:
        """Return the device that is logged in with ``token``.

        A revocation counts at once on this server and within ``cache_s`` on others.

        Raises:
            CooeeError: ``unauthorized``.
        """
        token_hash = hash_token(token)
        device = self._known.find(token_hash) or await self._look_up(token_hash)
        if device.expires_at:
            self._check_expiry(device)
        self.note_seen(device)
        return device

    def note_seen(self, device: Device) -> None:
        """Note that the device was here now; written by `tend`, at most once an hour."""
        if self._steady.now_ms() - device.last_seen > _TOUCH_AFTER_MS:
            self._seen.add(device.ref)

    async def of_user(self, user_id: str) -> Sequence[Device]:
        """Return the user's devices, oldest first."""
        return await self._devices.of_user(user_id)

    async def log_out(self, device: DeviceRef) -> None:
        """End the device's token and its connections; its keys and queues stay for when it logs in again.

        A bot does not log in again: its device goes with its token.
        """
        known = await self._devices.find(device)
        if known is not None and known.is_bots:
            await self.revoke(device, device.device_id)
            return
        await self._devices.set_token(device, b"", self._clock.wall_ms())
        self._ended((device,))
        await self._own_state.changed(device, "devices")

    async def log_out_others(self, user_id: str, keep: DeviceRef | None = None) -> None:
        """Log all devices of the user out, but for ``keep``."""
        for device in await self._devices.of_user(user_id):
            if device.ref != keep and device.token_hash:
                await self._devices.set_token(device.ref, b"", self._clock.wall_ms())
        self.forget_users((user_id,))
        self._routes.close_user(user_id, CloseCode.UNAUTHORIZED, "logged out", except_device=keep)

    async def revoke(self, actor: DeviceRef, device_id: str) -> None:
        """End an own device for good, with its cursors, keys and queues.

        Raises:
            CooeeError: ``bad_frame``, or ``not_found`` when the user has no such device.
        """
        if DEVICE_ID.fullmatch(device_id) is None:
            raise bad_frame("the deviceId is malformed")
        ref = DeviceRef(actor.user_id, device_id)
        if await self._devices.find(ref) is None:
            raise not_found("the device")
        await self._revoke((ref,))
        await self._own_state.changed(actor, "devices")

    async def may_run(self, bot_id: str) -> bool:
        """Tell whether neither the bot nor its owner has ended or is disabled."""
        bot = await self._accounts.find(bot_id)
        if bot is None or bot.deleted or bot.disabled or not bot.owner_id:
            return bot is not None and not bot.deleted and not bot.disabled
        owner = await self._accounts.find(bot.owner_id)
        return owner is not None and not owner.deleted and not owner.disabled

    def suspend(self, user_id: str) -> None:
        """End the connections of a bot that was disabled; its tokens are good again when it is enabled."""
        self.forget_users((user_id,))
        self._routes.close_user(user_id, CloseCode.UNAUTHORIZED, "disabled")

    async def end_all(self, user_id: str) -> None:
        """Revoke all devices of the user: the account ends."""
        await self._revoke([device.ref for device in await self._devices.of_user(user_id)])
        self._routes.close_user(user_id, CloseCode.UNAUTHORIZED, "the account has ended")

    async def tend(self) -> int:
        """Write when devices were last seen, and revoke those idle for too long; return how many. Run now and then.

        A device with a live connection is not idle, however long ago it logged in; and a clock that jumps ahead makes
        nobody idle. Connections whose token has expired end.
        """
        self._known.tend()
        now = self._steady.now_ms()
        self._end_expired(self._clock.wall_ms())
        seen, self._seen = self._seen, set()
        if seen:
            await self._devices.touch(tuple(seen), now)
        revoked = 0
        if self._steady.age_s < self._settings.settle_s:
            return revoked
        while idle := await self._devices.idle_since(now - self._settings.token_idle_days * _DAY_MS, _SWEEP):
            online = await self._sessions.of_users(tuple({device.user_id for device in idle}))
            live = {DeviceRef(entry.user_id, entry.device_id) for entries in online.values() for entry in entries}
            await self._devices.touch([device.ref for device in idle if device.ref in live], now)
            ended = [device.ref for device in idle if device.ref not in live]
            await self._revoke(ended)
            revoked += len(ended)
        return revoked

    def forget_users(self, user_ids: Collection[str]) -> None:
        """Look these users' tokens up anew: something about their devices changed, here or on another server."""
        self._known.forget(user_ids)

    def _check_expiry(self, device: Device) -> None:
        if device.expires_at <= self._clock.wall_ms():
            raise unauthorized()
        self._expiring[device.ref] = device.expires_at

    def _end_expired(self, now_ms: int) -> None:
        for ref in [ref for ref, expires_at in self._expiring.items() if expires_at <= now_ms]:
            del self._expiring[ref]
            self._routes.close_device(ref, CloseCode.UNAUTHORIZED, "the token has expired")

    async def _proven(self, user_id: str, password: str) -> Account:
        account = await self._accounts.find(user_id) if is_user_id(user_id) else None
        password_hash = "" if account is None or account.deleted else account.password_hash
        matched = await self._passwords.verify(password_hash, password)
        if account is None or not matched:
            raise _wrong()
        if account.disabled:
            raise CooeeError(ErrorCode.FORBIDDEN, "this account is disabled; ask the operator of the server")
        if self._passwords.outdated(password_hash):
            account = await self._rehash(account, password)
        return account

    async def _rehash(self, account: Account, password: str) -> Account:
        """Keep the password under the present parameters, unless it was changed meanwhile."""
        renewed = await self._passwords.hash(password)
        async with self._passwords.changing(account.user_id):
            current = await self._accounts.find(account.user_id)
            if current is not None and current.password_hash == account.password_hash:
                return await self._accounts.update(account.user_id, {"password_hash": renewed}) or account
        if current is None or not await self._passwords.verify(current.password_hash, password):
            raise _wrong()
        return current  # another log-in was faster

    async def _still(self, account: Account, ref: DeviceRef) -> None:
        """Take the log-in back if the password was changed, or the account ended, while it was going on."""
        current = await self._accounts.find(account.user_id)
        if current is not None and not current.disabled and current.password_hash == account.password_hash:
            return
        with suppress(CooeeError):  # revoked meanwhile: all the better
            await self._devices.set_token(ref, b"", self._clock.wall_ms())
        raise _wrong()

    async def _new_device(
        self,
        user_id: str,
        name: str,
        kind: str,
        token_hash: bytes,
        scopes: frozenset[Scope] = EVERYTHING,
        expires_at: int = 0,
    ) -> Device:
        if scopes == EVERYTHING:
            await self._make_room(user_id)
        now = self._clock.wall_ms()
        while True:
            device = Device(user_id, new_device_id(), name, kind, token_hash, now, now, scopes, expires_at)
            try:
                await self._devices.create(device)
            except ValueError:  # the id was used before
                continue
            await self._cursors.start_device(device.ref)
            return device

    async def _back_again(self, user_id: str, device_id: str, token_hash: bytes) -> Device:
        ref = DeviceRef(user_id, device_id)
        device = await self._devices.find(ref) if DEVICE_ID.fullmatch(device_id) else None
        if device is None:
            raise not_found("the device (log in without its id)")
        now = self._clock.wall_ms()
        await self._devices.set_token(ref, token_hash, now)
        if device.token_hash:
            self._ended((ref,))
        return msgspec.structs.replace(device, token_hash=token_hash, last_seen=now)

    async def _make_room(self, user_id: str) -> None:
        """An account that has all the devices it may have loses the one longest unseen, logged-out ones first."""
        devices = await self._devices.of_user(user_id)
        surplus = len(devices) - self._budgets.limits.devices_per_user + 1
        if surplus > 0:
            oldest = sorted(devices, key=lambda device: (bool(device.token_hash), device.last_seen))
            await self._revoke([device.ref for device in oldest[:surplus]])

    async def _look_up(self, token_hash: bytes) -> Device:
        revision = self._known.revision
        device = await self._devices.find_by_token(token_hash) if token_hash else None
        if device is None or not hmac.compare_digest(device.token_hash, token_hash):
            raise unauthorized()
        if self._steady.now_ms() - device.last_seen > self._settings.token_idle_days * _DAY_MS:
            raise unauthorized()
        if device.is_bots and not await self.may_run(device.user_id):
            raise unauthorized()
        self._known.enter(device, revision)
        return device

    async def _revoke(self, refs: Sequence[DeviceRef]) -> None:
        if refs:
            await self._devices.revoke(refs)
            self.revoked({ref.user_id for ref in refs})
            await self._cursors.forget_devices(refs)
            self._ended(refs)

    def _ended(self, refs: Sequence[DeviceRef]) -> None:
        """The tokens of these devices are no longer good: nobody goes on with them."""
        self.forget_users({ref.user_id for ref in refs})
        for ref in refs:
            self._expiring.pop(ref, None)
            self._routes.close_device(ref, CloseCode.UNAUTHORIZED, "logged out or revoked")


def _nobody(_user_ids: Collection[str]) -> None:
    """Nobody remembers anything of devices."""
