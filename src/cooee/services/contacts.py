"""Contacts and blocks of a user (PROTOCOL.md §11)."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.limits import Limits
from cooee.ports.accounts import Accounts
from cooee.ports.contacts import Contacts
from cooee.protocol import http
from cooee.services.own_state import OwnState
from cooee.services.profiles import as_user, checked_user_id
from cooee.services.routes import Routes

Relation = Literal["contact", "block"]


class ContactStores(NamedTuple):
    """What `ContactService` reads and writes."""

    contacts: Contacts
    accounts: Accounts


class ContactService:
    """The use cases of contacts and blocks. ``forget_conversation`` drops what is cached of a direct chat."""

    def __init__(
        self,
        stores: ContactStores,
        own_state: OwnState,
        routes: Routes,
        limits: Limits,
        forget_conversation: Callable[[str], None],
    ) -> None:
        self._contacts, self._accounts = stores
        self._own_state = own_state
        self._routes = routes
        self._limits = limits
        self._forget_conversation = forget_conversation

    async def put(self, device: DeviceRef, relation: Relation, other_id: str) -> None:
        """Make ``other_id`` a contact of the user, or block him. Idempotent. A block counts for both sides at once.

        Raises:
            CooeeError: ``bad_frame`` for a malformed id or oneself, ``not_found``, ``too_large`` beyond the limit.
        """
        if checked_user_id(other_id) == device.user_id:
            raise bad_frame(f"you cannot be your own {relation}")
        account = await self._accounts.find(other_id)
        if account is None or account.deleted:
            raise not_found("the user")
        await self._check_room(device.user_id, relation, other_id)
        await self._set(device, relation, other_id, present=True)

    async def remove(self, device: DeviceRef, relation: Relation, other_id: str) -> None:
        """Take the contact or the block back. Idempotent; also for users who have left.

        Raises:
            CooeeError: ``bad_frame`` for a malformed id.
        """
        await self._set(device, relation, checked_user_id(other_id), present=False)

    async def page(self, user_id: str, relation: Relation, after: str, limit: int) -> Sequence[http.User]:
        """Return the user's contacts or blocks above ``after``, ascending by userId, also those who have left."""
        read = self._contacts.contacts if relation == "contact" else self._contacts.blocks
        ids = await read(user_id, after, limit)
        accounts = await self._accounts.find_many(ids)
        return [as_user(accounts[each]) if each in accounts else http.User(each, each, deleted=True) for each in ids]

    async def _set(self, device: DeviceRef, relation: Relation, other_id: str, *, present: bool) -> None:
        store = self._contacts.set_contact if relation == "contact" else self._contacts.set_block
        if not await store(device.user_id, other_id, present):
            return
        self._forget_conversation(direct_conversation_id(device.user_id, other_id))
        self._routes.refresh((device.user_id, other_id))
        await self._own_state.changed(device, "contacts" if relation == "contact" else "blocks")

    async def _check_room(self, user_id: str, relation: Relation, other_id: str) -> None:
        """Refuse one more than ``limits.contacts_per_user``; two at the same moment may exceed it by one."""
        limit = self._limits.contacts_per_user
        read = self._contacts.contacts if relation == "contact" else self._contacts.blocks
        have = await read(user_id, "", limit)
        if len(have) >= limit and other_id not in have:
            raise CooeeError(ErrorCode.TOO_LARGE, f"you have {limit} {relation}s, the most there may be")
