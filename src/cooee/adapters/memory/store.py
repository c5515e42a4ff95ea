"""All ports in memory, for fast tests and as the model that the durable adapters are compared with."""

from collections.abc import Sequence

from cooee.adapters.memory.accounts import MemoryAccounts
from cooee.adapters.memory.bots import MemoryBots
from cooee.adapters.memory.contacts import MemoryContacts
from cooee.adapters.memory.conversations import Conversations
from cooee.adapters.memory.credentials import MemoryCredentials
from cooee.adapters.memory.cursors import MemoryCursors
from cooee.adapters.memory.device_keys import MemoryDeviceKeys
from cooee.adapters.memory.devices import MemoryDevices
from cooee.adapters.memory.groups import MemoryGroups
from cooee.adapters.memory.media import MemoryMedia
from cooee.adapters.memory.message_log import MemoryMessageLog
from cooee.adapters.memory.preferences import MemoryPreferences
from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.adapters.memory.push_targets import MemoryPushTargets
from cooee.adapters.memory.retention import MemoryRetention
from cooee.adapters.memory.timeline import MemoryTimeline
from cooee.adapters.memory.to_device import MemoryToDevice
from cooee.adapters.memory.webhooks import MemoryWebhooks
from cooee.domain.ids import DeviceRef
from cooee.ports.retention import RetentionSettings


class MemoryStore:
    """The ports of one imaginary server; everything is gone with the object."""

    def __init__(self, retention: RetentionSettings | None = None) -> None:
        conversations = Conversations()
        self.message_log = MemoryMessageLog(conversations)
        self.timeline = MemoryTimeline(conversations)
        self.media = MemoryMedia(conversations)
        self.cursors = MemoryCursors(conversations)
        self.groups = MemoryGroups(conversations)
        self.accounts = MemoryAccounts(self._erase_owned)
        self.devices = MemoryDevices(self._forget_devices, self.accounts.is_erased)
        self.device_keys = MemoryDeviceKeys(self.devices.is_there)
        self.bots = MemoryBots(self.accounts)
        self.webhooks = MemoryWebhooks(self.devices.is_there)
        self.contacts = MemoryContacts()
        self.preferences = MemoryPreferences()
        self.credentials = MemoryCredentials()
        self.to_device = MemoryToDevice(self.devices.is_gone)
        self.retention = MemoryRetention(conversations, retention or RetentionSettings(), self.to_device.sweep)
        self.push_queue = MemoryPushQueue()
        self.push_targets = MemoryPushTargets(self.devices.is_there)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _forget_devices(self, gone: Sequence[DeviceRef]) -> None:
        """Drop what hangs on revoked devices."""
        self.cursors.forget(gone)
        self.to_device.forget_devices(gone)
        self.push_queue.forget_devices(gone)
        self.push_targets.forget_devices(gone)
        self.webhooks.forget_devices(gone)
        self.device_keys.forget_devices(gone)

    async def _erase_owned(self, user_id: str) -> None:
        """Drop what is a deleted account's alone."""
        await self.devices.revoke([device.ref for device in await self.devices.of_user(user_id)])
        self.bots.forget_user(user_id)
        self.contacts.forget_user(user_id)
        self.preferences.forget_user(user_id)
        self.credentials.forget_user(user_id)
        self.push_queue.forget_user(user_id)
        self.device_keys.forget_user(user_id)
