"""A whole server's services in memory with a platform that keeps what it is given: who is told of what, and when."""

import asyncio
from typing import Any

from cooee.domain.digest import NotificationSettings
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Privacy
from cooee.ports.preferences import ConversationFlags
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_targets import PushTarget
from cooee.ports.sessions import SessionEntry
from tests.fakes.memory_house import MemoryHouse
from tests.fakes.push_sender import RecordingPush

DIRECT = "dm:alice:bob"


class PushScene(MemoryHouse):
    """`MemoryHouse` whose queue is filled as live delivery would, and whose notifier works when it is told to."""

    async def phone(self, user_id: str, device_id: str = "d1", platform: str = "fcm", endpoint: str = "") -> DeviceRef:
        """Give a device of the user a push target."""
        address = {"endpoint": endpoint} if endpoint else {"token": f"{user_id}-{device_id}"}
        await self.store.push_targets.put(PushTarget(user_id, device_id, platform, address, 1))
        await self.house.pushes.service.start()
        return DeviceRef(user_id, device_id)

    async def people(self, settings: NotificationSettings | None = None, devices: int = 1) -> DeviceRef:
        """Make alice, who sends, and bob with devices that can be pushed to; return alice."""
        alice = await self.user("alice")
        await self.user("bob", Privacy(notifications=settings or NotificationSettings()), devices)
        for number in range(1, devices + 1):
            await self.phone("bob", f"d{number}")
        return alice

    async def say(self, sender: DeviceRef, to: str, text: str, *, conversation_id: str = "", **fields: Any) -> int:
        """Send a message, hand it over as one that ``to`` missed, and return its number."""
        conversation = conversation_id or f"dm:{min(sender.user_id, to)}:{max(sender.user_id, to)}"
        ack = await self.send(sender, conversation, text, notification_preview=text, **fields)
        assert ack.sequence_number is not None
        await self.missed(to, conversation, ack.sequence_number)
        return ack.sequence_number

    async def missed(
        self, user_id: str, conversation_id: str, number: int, device_id: str = "", wait_s: float = 0.0
    ) -> None:
        """Hand a message over to push."""
        due_at = self.clock.wall_ms() + round(wait_s * 1000)
        await self.house.pushes.queue.append([PushEntry(user_id, device_id, conversation_id, number, due_at)])

    async def read(self, device: DeviceRef, conversation_id: str, number: int) -> None:
        """Read, as a live session does."""
        await self.mark(device, conversation_id, read=number)
        self.house.pushes.clearing.read(device.user_id, conversation_id, number)

    async def mute(self, user_id: str, conversation_id: str, until: int = -1) -> None:
        """Mute a conversation."""
        await self.store.preferences.set_flags(user_id, conversation_id, ConversationFlags(until))

    async def connect(self, user_id: str, device_id: str) -> SessionEntry:
        """Give the device a live session."""
        entry = SessionEntry(user_id, device_id, "gw", f"c-{device_id}", "cli", 0)
        await self.house.ports.sessions.register(entry)
        return entry

    async def work(self, seconds: float = 0.0) -> None:
        """Let time pass, and the notifier do what is due then."""
        self.clock.advance(seconds)
        notifier = self.house.pushes.notifier
        for _ in range(3):
            await notifier.tick()
            await notifier.settle()

    async def turns(self) -> None:
        """Let what was begun go on for some turns of the event loop."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def waiting(self) -> list[PushEntry]:
        """Return what waits in the queue, whenever it is due."""
        return list(await self.store.push_queue.due(2**60, 10_000))

    async def told(self, seconds: float = 0.0) -> list[str]:
        """Let time pass, and return what the platform was given, as texts."""
        await self.work(seconds)
        return self.platform.texts()

    @property
    def platform(self) -> RecordingPush:
        """The platform."""
        return self.push
