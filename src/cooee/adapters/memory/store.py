"""All ports in memory, for fast tests and as the model that the durable adapters are compared with."""

from collections.abc import Sequence

from cooee.adapters.memory.accounts import MemoryAccounts
from cooee.adapters.memory.contacts import MemoryContacts
from cooee.adapters.memory.credentials import MemoryCredentials
from cooee.adapters.memory.devices import MemoryDevices
from cooee.adapters.memory.preferences import MemoryPreferences
from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.adapters.memory.to_device import MemoryToDevice
from cooee.domain.ids import DeviceRef


class MemoryStore:
    """The ports of one imaginary server; everything is gone with the object."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts(self._erase_owned)
        self.devices = MemoryDevices(self._forget_devices, self.accounts.is_erased)
        self.contacts = MemoryContacts()
        self.preferences = MemoryPreferences()
        self.credentials = MemoryCredentials()
        self.to_device = MemoryToDevice(self.devices.is_gone)
        self.push_queue = MemoryPushQueue()

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _forget_devices(self, gone: Sequence[DeviceRef]) -> None:
        """Drop what hangs on revoked devices."""
        self.to_device.forget_devices(gone)
        self.push_queue.forget_devices(gone)

    async def _erase_owned(self, user_id: str) -> None:
        """Drop what is a deleted account's alone."""
        await self.devices.revoke([device.ref for device in await self.devices.of_user(user_id)])
        self.contacts.forget_user(user_id)
        self.preferences.forget_user(user_id)
        self.credentials.forget_user(user_id)
        self.push_queue.forget_user(user_id)
