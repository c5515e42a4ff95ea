"""A whole server's services over the memory adapters, composed by the application itself."""

import asyncio
from typing import Any

import msgspec

from cooee.adapters.memory.presence import MemoryPresence
from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.memory.store import MemoryStore
from cooee.app.config import AccountsConfig, Config, LimitsConfig, MediaConfig, WebhooksConfig
from cooee.app.house import House
from cooee.app.ports import Live, Ports
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account, Privacy
from cooee.ports.cursors import CursorUpdate
from cooee.ports.devices import Device
from cooee.protocol import frames
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import ManualClock
from tests.fakes.push_sender import RecordingPush
from tests.fakes.webhook_sender import RecordingSender


class MemoryHouse:
    """Services by name in `house`, stores in `store`, and what is needed to let people do things."""

    def __init__(
        self,
        *,
        webhooks: WebhooksConfig = WebhooksConfig(),  # noqa: B008  # frozen
        media: MediaConfig = MediaConfig(),  # noqa: B008  # frozen
        before: "MemoryHouse | None" = None,
        **limits: Any,
    ) -> None:
        """Build a house; with ``before`` the same one after a crash: what was stored is there, and all else is gone."""
        store: MemoryStore = MemoryStore() if before is None else before.store
        self.store: MemoryStore = store
        self.clock: ManualClock = ManualClock() if before is None else before.clock
        self.push: RecordingPush = RecordingPush() if before is None else before.push
        self.sender = RecordingSender()
        self.files: MemoryBlobs = MemoryBlobs() if before is None else before.files
        config = Config(
            accounts=AccountsConfig(argon2_memory_kib=8, argon2_time_cost=1),
            limits=LimitsConfig(**limits),
            webhooks=webhooks,
            media=media,
        )
        senders = {"web": self.push, "fcm": self.push}
        live = Live(MemorySessions(), MemoryRouter(), MemoryPresence(), self.sender, self.files, senders)
        self.house = House(Ports.of(store, live, self.clock), config)

    async def user(self, user_id: str, privacy: Privacy | None = None, devices: int = 1) -> DeviceRef:
        """Make an account with devices ``d1`` …; return the first device."""
        now = self.clock.wall_ms()
        await self.store.accounts.create(Account(user_id, user_id.title(), "", now, privacy=privacy or Privacy()))
        for number in range(1, devices + 1):
            token = f"{user_id}{number}".encode()
            device = Device(user_id, f"d{number}", "test", "test", token, now, now)
            await self.store.devices.create(device)
            await self.store.cursors.start_device(device.ref)
        return DeviceRef(user_id, "d1")

    async def send(self, sender: DeviceRef, conversation_id: str, text: str, **fields: Any) -> frames.Ack:
        """Send a text and return its ack."""
        self.clock.advance(0.01)
        name = f"{sender.device_id}{self.clock.monotonic()}"
        frame = frames.Send(name, "text", msgspec.Raw(msgspec.json.encode(text)), conversation_id, **fields)
        ack = await self.house.messages.send_and_wait(sender, frame)
        self.house.views.forget(conversation_id)
        return ack

    async def mark(self, device: DeviceRef, conversation_id: str, *, received: int = 0, read: int = 0) -> None:
        """Move watermarks, past the service, as a store would see it."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        update = CursorUpdate(conversation_id, device.user_id, device.device_id, max(received, read), read)
        self.store.cursors.advance(update, done.set_result)
        await done
        self.house.views.forget(conversation_id)

    async def settle(self) -> None:
        """Let what was begun go on for a turn of the event loop."""
        await asyncio.sleep(0)
