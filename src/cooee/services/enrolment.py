"""Many accounts at once, each with one device that is logged in: for imports and for load tests."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.services.accounts import AccountService
from cooee.services.devices import DeviceService

MAX_ENROLLED = 1000
"""Accounts of one call."""


class Enrolled(NamedTuple):
    """One new account: its device, and the token that is shown once."""

    user_id: str
    device_id: str
    token: str


class Enrolment:
    """Opens accounts without a password: nobody can log in to one before its operator sets a password.

    No password is hashed, which is what would take the time: some 50 ms an account.
    """

    def __init__(self, accounts: AccountService, devices: DeviceService) -> None:
        self._accounts = accounts
        self._devices = devices

    async def enrol(self, user_ids: Sequence[str], device_name: str, device_type: str) -> list[Enrolled]:
        """Open the accounts and log one device in to each; durable before it returns, in the order given.

        Raises:
            CooeeError: ``bad_frame`` for a malformed or repeated name or too many, ``conflict`` for one that is or
                ever was taken. Then nothing was made, unless somebody took a name at the same moment.
        """
        if not 0 < len(user_ids) <= MAX_ENROLLED or len(set(user_ids)) < len(user_ids):
            raise bad_frame(f"userIds names 1 to {MAX_ENROLLED} different users")
        taken = await self._accounts.taken(user_ids)
        if taken:
            raise CooeeError(ErrorCode.CONFLICT, f"this userId is taken: {min(taken)}")
        return await asyncio.gather(*(self._enrol(user_id, device_name, device_type) for user_id in user_ids))

    async def _enrol(self, user_id: str, device_name: str, device_type: str) -> Enrolled:
        await self._accounts.create_without_password(user_id)
        token, device = await self._devices.enrol(user_id, device_name, device_type)
        return Enrolled(user_id, device.device_id, token)
