"""Profiles and privacy settings: one's own, and what others may see (PROTOCOL.md §7, §11)."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from cooee.domain.digest import NotificationSettings, QuietHours
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.groups import clean_name
from cooee.domain.ids import DeviceRef, is_user_id
from cooee.ports.accounts import Account, Accounts, GroupAddAudience, LastSeenAudience, Privacy
from cooee.ports.contacts import Contacts
from cooee.protocol import http, push
from cooee.services.accounts import MAX_DISPLAY_NAME
from cooee.services.budgets import Budgets
from cooee.services.own_state import OwnState

MAX_ABOUT = 200
MIN_QUERY = 3
MAX_FOUND = 20


class ProfileStores(NamedTuple):
    """What `ProfileService` reads and writes."""

    accounts: Accounts
    contacts: Contacts


class ProfileService:
    """The use cases of profiles. ``forget`` drops what caches hold of a user whose settings changed."""

    def __init__(
        self,
        stores: ProfileStores,
        own_state: OwnState,
        budgets: Budgets,
        forget: Callable[[str], None],
        *,
        user_search: bool = True,
    ) -> None:
        self._accounts, self._contacts = stores
        self._own_state = own_state
        self._budgets = budgets
        self._forget = forget
        self._user_search = user_search

    async def me(self, user_id: str) -> http.Me:
        """Return the user's own account.

        Raises:
            CooeeError: ``not_found`` when it has ended meanwhile.
        """
        account = await self._accounts.find(user_id)
        if account is None or account.deleted:
            raise not_found("the account")
        return _me(account)

    async def change(self, device: DeviceRef, patch: http.PatchMe) -> http.Me:
        """Change what ``patch`` names; the user's other devices are told.

        Raises:
            CooeeError: ``bad_frame`` for names with control or direction-changing characters, or too long.
        """
        account = await self._accounts.find(device.user_id)
        if account is None or account.deleted:
            raise not_found("the account")
        changes = _changes(account, patch)
        if not changes:
            return _me(account)
        changed = await self._accounts.update(device.user_id, changes)
        if changed is None:
            raise not_found("the account")
        self._forget(device.user_id)
        me = _me(changed)
        await self._own_state.changed(device, "privacy" if set(changes) == {"privacy"} else "profile", me)
        return me

    async def user(self, user_id: str) -> http.User:
        """Return what everybody may see of a user.

        Raises:
            CooeeError: ``bad_frame`` for a malformed id, ``not_found`` also for one who left or is disabled.
        """
        account = await self._accounts.find(checked_user_id(user_id))
        if account is None or account.deleted or account.disabled:
            raise not_found("the user")
        return as_user(account)

    async def search(self, user_id: str, query: str) -> Sequence[http.User]:
        """Return at most 20 users whose userId or name starts with ``query``; blocks either way hide them.

        Raises:
            CooeeError: ``forbidden`` where search is switched off, ``bad_frame`` below 3 characters, ``rate_limited``.
        """
        if not self._user_search:
            raise CooeeError(ErrorCode.FORBIDDEN, "user search is switched off here; look users up by their userId")
        wanted = query.strip()
        if not MIN_QUERY <= len(wanted) <= MAX_DISPLAY_NAME:
            raise bad_frame(f"query has {MIN_QUERY} to {MAX_DISPLAY_NAME} characters")
        self._budgets.spend("user_searches", user_id)
        found = await self._accounts.search(wanted, MAX_FOUND)
        hidden = await self._contacts.blocked_either_way(user_id, [account.user_id for account in found])
        return [as_user(account) for account in found if account.user_id not in hidden]


def checked_user_id(user_id: str) -> str:
    """Return ``user_id``, or raise ``bad_frame`` when it does not have the form of one."""
    if not is_user_id(user_id):
        raise bad_frame("the userId is malformed")
    return user_id


def as_user(account: Account) -> http.User:
    """Return what everybody may see of an account."""
    if account.deleted:
        return http.User(account.user_id, account.user_id, "", deleted=True)
    return http.User(account.user_id, account.display_name or account.user_id, account.about, bot=account.is_bot)


def _me(account: Account) -> http.Me:
    own = account.privacy
    privacy = http.Privacy(
        own.last_seen.value, own.read_receipts, own.searchable, own.group_adds.value, own.encrypted_previews
    )
    return http.Me(
        account.user_id,
        account.display_name,
        account.about,
        privacy,
        account.created_at,
        account.admin,
        account.is_bot,
        _notifications(own.notifications),
    )


def _changes(account: Account, patch: http.PatchMe) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if patch.display_name is not msgspec.UNSET:
        name = clean_name(patch.display_name or account.user_id, "the display name", MAX_DISPLAY_NAME)
        changes["display_name"] = name
    if patch.about is not msgspec.UNSET:
        about = unicodedata.normalize("NFC", patch.about).strip()
        changes["about"] = clean_name(about, "about", MAX_ABOUT) if about else ""
    if patch.privacy is not msgspec.UNSET:
        changes["privacy"] = _privacy(account.privacy, patch.privacy)
    if patch.notifications is not msgspec.UNSET:
        own = changes.get("privacy", account.privacy)
        settings = _notification_settings(own.notifications, patch.notifications)
        changes["privacy"] = msgspec.structs.replace(own, notifications=settings)
    return {name: value for name, value in changes.items() if getattr(account, name) != value}


def _privacy(privacy: Privacy, patch: http.PatchPrivacy) -> Privacy:
    kept = msgspec.UNSET
    return Privacy(
        privacy.last_seen if patch.last_seen is kept else LastSeenAudience(patch.last_seen),
        privacy.read_receipts if patch.read_receipts is kept else patch.read_receipts,
        privacy.searchable if patch.searchable is kept else patch.searchable,
        privacy.group_adds if patch.group_adds is kept else GroupAddAudience(patch.group_adds),
        privacy.notifications,
        privacy.encrypted_previews if patch.encrypted_previews is kept else patch.encrypted_previews,
    )


def _notifications(own: NotificationSettings) -> push.Notifications:
    hours = own.quiet_hours
    quiet = None if hours is None else push.QuietHours(_clock(hours.start), _clock(hours.end), hours.offset_min)
    return push.Notifications(own.preview, own.mentions, quiet)


def _notification_settings(own: NotificationSettings, patch: push.PatchNotifications) -> NotificationSettings:
    kept, hours = msgspec.UNSET, patch.quiet_hours
    quiet = own.quiet_hours if hours is kept else None
    if isinstance(hours, push.QuietHours):
        quiet = QuietHours(_minutes(hours.start), _minutes(hours.end), hours.offset_min)
    return NotificationSettings(
        own.preview if patch.preview is kept else patch.preview,
        own.mentions if patch.mentions is kept else patch.mentions,
        quiet,
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)
