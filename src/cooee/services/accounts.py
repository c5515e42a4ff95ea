"""Accounts: register, passwords, recovery, deletion, and what the operator does with them (PROTOCOL.md §11)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.groups import clean_name
from cooee.domain.ids import DeviceRef, is_user_id
from cooee.ports.accounts import Account, Accounts
from cooee.ports.bots import Bots
from cooee.ports.clock import Clock
from cooee.ports.credentials import Credentials
from cooee.services.budgets import Budgets
from cooee.services.devices import DeviceService
from cooee.services.passwords import Passwords
from cooee.services.secrets import hash_recovery_code, hash_token, new_invite, new_recovery_codes

MAX_DISPLAY_NAME = 64
_PAGE = 100
_WRONG_CODE = "the name or the recovery code is wrong"


class AccountSettings(msgspec.Struct, frozen=True):
    """Who may register."""

    registration: Literal["open", "invite", "closed"] = "open"


class AccountStores(NamedTuple):
    """What `AccountService` reads and writes."""

    accounts: Accounts
    credentials: Credentials
    bots: Bots


class Ending(NamedTuple):
    """What must happen elsewhere when an account ends: it leaves its groups, and caches forget it.

    ``forget`` is also called when an account appears or changes.
    """

    leave_groups: Callable[[str], Awaitable[None]]
    forget: Callable[[str], None]


class AccountService:
    """The use cases of accounts."""

    def __init__(
        self,
        stores: AccountStores,
        devices: DeviceService,
        passwords: Passwords,
        budgets: Budgets,
        clock: Clock,
        ending: Ending,
        settings: AccountSettings = AccountSettings(),  # noqa: B008  # frozen
    ) -> None:
        self._accounts, self._credentials, self._bots = stores
        self._devices = devices
        self._passwords = passwords
        self._budgets = budgets
        self._clock = clock
        self._ending = ending
        self._settings = settings

    async def register(self, address: str, user_id: str, password: str, display_name: str, invite: str) -> Account:
        """Open an account, where registration allows it.

        Raises:
            CooeeError: ``forbidden`` when registration is closed or the invite is not good, ``conflict`` when the
                name is or ever was taken, ``bad_frame``, ``rate_limited``.
        """
        if self._settings.registration == "closed":
            raise CooeeError(ErrorCode.FORBIDDEN, "registration is closed; ask the operator of the server")
        self._check(user_id, password)
        name = clean_name(display_name or user_id, "the display name", MAX_DISPLAY_NAME)
        self._budgets.spend_for_address("registrations_per_address", address)
        if await self._accounts.find(user_id) is not None:
            raise _taken()
        password_hash = await self._passwords.hash(password)
        if self._settings.registration == "invite" and not await self._credentials.use_invite(
            hash_token(invite), self._clock.wall_ms()
        ):
            raise CooeeError(ErrorCode.FORBIDDEN, "registration takes an invite that is neither used up nor expired")
        return await self._create(Account(user_id, name, password_hash, self._clock.wall_ms()))

    async def change_password(self, device: DeviceRef, current: str, new: str) -> None:
        """Change the password; all other devices are logged out.

        Raises:
            CooeeError: ``forbidden`` for a wrong present password, ``bad_frame``, ``rate_limited``.
        """
        self._passwords.check(new, device.user_id)
        self._budgets.spend("log_ins_per_account_and_address", f"{device.user_id} password")
        account = await self._get(device.user_id)
        if not await self._passwords.verify(account.password_hash, current):
            raise CooeeError(ErrorCode.FORBIDDEN, "the present password is wrong")
        renewed = await self._passwords.hash(new)
        async with self._passwords.changing(device.user_id):
            if (await self._get(device.user_id)).password_hash != account.password_hash:
                raise CooeeError(ErrorCode.CONFLICT, "the password was changed at the same moment; try again")
            await self._accounts.update(device.user_id, {"password_hash": renewed})
        await self._devices.log_out_others(device.user_id, keep=device)

    async def new_recovery_codes(self, user_id: str) -> tuple[str, ...]:
        """Return ten new codes of 80 bits, each good for one `recover`; the former ones are void. Kept as hashes."""
        self._budgets.spend("log_ins_per_account_and_address", f"{user_id} codes")
        codes = new_recovery_codes()
        await self._credentials.put_recovery_codes(user_id, [hash_recovery_code(user_id, code) for code in codes])
        return codes

    async def recover(self, address: str, user_id: str, code: str, new: str) -> None:
        """Set a new password by a recovery code, which is used up; all devices are logged out.

        Raises:
            CooeeError: ``unauthorized`` for a wrong name as for a wrong code, ``bad_frame``, ``rate_limited``.
        """
        self._passwords.check(new, user_id)
        self._devices.spend_log_in(address, user_id)
        account = await self._accounts.find(user_id) if is_user_id(user_id) else None
        usable = account is not None and not account.deleted and not account.disabled
        renewed = await self._passwords.hash(new)
        code_hash = hash_recovery_code(user_id, code) if usable else b""
        async with self._passwords.changing(user_id):
            if not await self._credentials.use_recovery_code(user_id, code_hash):
                raise CooeeError(ErrorCode.UNAUTHORIZED, _WRONG_CODE)
            await self._accounts.update(user_id, {"password_hash": renewed})
        await self._devices.log_out_others(user_id)

    async def delete(self, user_id: str) -> None:
        """End the account with all that is the user's alone, and his bots. What others got from them stays. Idempotent.

        Raises:
            CooeeError: ``not_found`` when there never was such an account.
        """
        if not is_user_id(user_id) or await self._accounts.find(user_id) is None:
            raise not_found("the account")
        await self._end_bots(user_id)
        await self._ending.leave_groups(user_id)
        await self._devices.end_all(user_id)
        await self._accounts.erase(user_id)
        await self._ending.leave_groups(user_id)  # a group he was added to at the same moment
        await self._end_bots(user_id)  # and a bot he made
        self._ending.forget(user_id)

    async def create(self, user_id: str, password: str, display_name: str = "", *, admin: bool = False) -> Account:
        """Open an account for somebody, whatever registration says.

        Raises:
            CooeeError: ``conflict`` or ``bad_frame``.
        """
        self._check(user_id, password)
        name = clean_name(display_name or user_id, "the display name", MAX_DISPLAY_NAME)
        password_hash = await self._passwords.hash(password)
        return await self._create(Account(user_id, name, password_hash, self._clock.wall_ms(), admin=admin))

    async def create_without_password(self, user_id: str) -> Account:
        """Open an account that nobody can log in to before `reset_password`.

        Raises:
            CooeeError: ``conflict`` or ``bad_frame``.
        """
        check_new_user_id(user_id)
        return await self._create(Account(user_id, user_id, "", self._clock.wall_ms()))

    async def taken(self, user_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these names are or ever were taken.

        Raises:
            CooeeError: ``bad_frame`` for what cannot be a name.
        """
        for user_id in user_ids:
            check_new_user_id(user_id)
        return frozenset(await self._accounts.find_many(user_ids))

    async def set_disabled(self, user_id: str, *, disabled: bool) -> Account:
        """Disable an account, which logs all its devices out, or enable it again; a user's bots go and come with him.

        A bot keeps its tokens, which are refused meanwhile. One that was disabled by itself stays so.

        Raises:
            CooeeError: ``not_found``, or ``conflict`` for a bot whose owner is disabled.
        """
        account = await self._get(user_id)
        if account.owner_id and not disabled and (await self._get(account.owner_id)).disabled:
            raise CooeeError(ErrorCode.CONFLICT, "its owner is disabled; enable him, and it comes with him")
        account = await self._switch(user_id, disabled=disabled, with_owner=False)
        async for bot in self._bots_of(user_id):
            if bot.disabled_with_owner if not disabled else not bot.disabled:
                await self._switch(bot.user_id, disabled=disabled, with_owner=disabled)
        return account

    async def reset_password(self, user_id: str, new: str) -> None:
        """Set another password; all devices are logged out, and recovery codes are void.

        Raises:
            CooeeError: ``not_found``, ``bad_frame``, or ``forbidden`` for a bot.
        """
        self._passwords.check(new, user_id)
        if (await self._get(user_id)).is_bot:
            raise CooeeError(ErrorCode.FORBIDDEN, "a bot has no password; make it a token")
        renewed = await self._passwords.hash(new)
        async with self._passwords.changing(user_id):
            await self._accounts.update(user_id, {"password_hash": renewed})
            await self._credentials.put_recovery_codes(user_id, ())
        await self._devices.log_out_others(user_id)

    def appeared(self, user_id: str) -> None:
        """Let caches look anew: somebody else opened this account."""
        self._ending.forget(user_id)

    async def page(self, after: str, limit: int) -> Sequence[Account]:
        """Return accounts in ascending userId order."""
        return await self._accounts.page(after, limit)

    async def invite(self, expires_at: int, max_uses: int) -> str:
        """Return a new invite to register, shown once; 0: never expires, any number of uses.

        Raises:
            CooeeError: ``bad_frame`` when it would have expired already.
        """
        if expires_at and expires_at <= self._clock.wall_ms():
            raise bad_frame("expiresAt lies in the past")
        token = new_invite()
        await self._credentials.put_invite(hash_token(token), expires_at, max_uses)
        return token

    async def _switch(self, user_id: str, *, disabled: bool, with_owner: bool) -> Account:
        changes = {"disabled": disabled, "disabled_with_owner": with_owner}
        account = await self._accounts.update(user_id, changes)
        if account is None:
            raise not_found("the account")
        if account.is_bot:
            self._devices.suspend(user_id)
        elif disabled:
            await self._devices.log_out_others(user_id)
        self._ending.forget(user_id)
        return account

    async def _end_bots(self, user_id: str) -> None:
        async for bot in self._bots_of(user_id):
            await self.delete(bot.user_id)

    async def _bots_of(self, user_id: str) -> AsyncIterator[Account]:
        after = ""
        while found := await self._bots.of_owner(user_id, after, _PAGE):
            for bot in found:
                yield bot
            after = found[-1].user_id

    def _check(self, user_id: str, password: str) -> None:
        check_new_user_id(user_id)
        self._passwords.check(password, user_id)

    async def _create(self, account: Account) -> Account:
        if not await self._accounts.create(account):
            raise _taken()
        self._ending.forget(account.user_id)
        return account

    async def _get(self, user_id: str) -> Account:
        account = await self._accounts.find(user_id) if is_user_id(user_id) else None
        if account is None or account.deleted:
            raise not_found("the account")
        return account


def check_new_user_id(user_id: str) -> None:
    """Refuse what cannot be the name of an account. Raises CooeeError ``bad_frame``."""
    if not is_user_id(user_id):
        raise bad_frame("a userId has 2 to 32 characters of a-z, 0-9, _, . and -, and begins with a letter or digit")


def _taken() -> CooeeError:
    return CooeeError(ErrorCode.CONFLICT, "this userId is taken; choose another")
