"""What the gateway asks of the house behind it: one small protocol per service, and the record that carries them.

The classes of `cooee.services` fit these protocols; nothing here says how they work.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from cooee.domain.conversation import Span
from cooee.domain.ids import DeviceRef
from cooee.ports.devices import Device
from cooee.ports.push_queue import PushQueue
from cooee.ports.router import Router
from cooee.ports.sessions import Sessions
from cooee.ports.timeline import Missed, Page
from cooee.ports.to_device import ToDeviceMessage
from cooee.protocol import frames

Reply = Callable[[frames.ServerFrame], None]
"""Sends the reply to a client frame; called on the event loop, also after the connection is gone."""


class Messages(Protocol):
    """Takes messages to send."""

    def send(self, sender: DeviceRef, frame: frames.Send, reply: Reply) -> None:
        """Append the message; ``reply`` gets one `Ack` after durability, or one `Error`. Never raises."""
        ...


class Receipts(Protocol):
    """Takes watermarks."""

    def received(self, device: DeviceRef, frame: frames.Received, reply: Reply) -> None:
        """Merge the device's watermark; ``reply`` is called only when there is something to say."""
        ...

    def read(self, device: DeviceRef, frame: frames.Read, reply: Reply) -> None:
        """Merge the user's watermark."""
        ...


class Sync(Protocol):
    """Reads what a device lacks."""

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        """Return the conversations in which the device lacks something."""
        ...

    async def read_after(self, device: DeviceRef, conversation_id: str, after: int, limit: int) -> Page:
        """Return what follows ``after``, as far as the user may see it. CooeeError ``not_a_member``."""
        ...

    async def page_frames(self, device: DeviceRef, page: Page) -> list[bytes]:
        """Return the page's messages as encoded ``message`` frames, one each, in order."""
        ...

    async def history(self, device: DeviceRef, frame: frames.Fetch) -> frames.Messages:
        """Return a page of history."""
        ...

    async def own_changes(self, device: DeviceRef, sync_token: str | None) -> tuple[list[bytes], str]:
        """Return what changed in the user's own state since the token, as encoded frames, and the new token."""
        ...

    async def position(self, device: DeviceRef, conversation_id: str) -> int:
        """Return what the device has received."""
        ...


class View(Protocol):
    """What is known of a conversation."""

    @property
    def large(self) -> bool:
        """Whether the conversation is fanned out at read time."""
        ...


class Views(Protocol):
    """Conversations in memory."""

    async def load(self, conversation_id: str) -> View:
        """Return the conversation. CooeeError ``not_found``."""
        ...

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        """Return which numbers the user may see, oldest first. CooeeError ``not_a_member``."""
        ...

    def forget_user(self, user_id: str) -> None:
        """Drop what is known of the user's conversations."""
        ...


class Presence(Protocol):
    """Counts connections and tells watchers."""

    def attach(self, tell: Callable[[str, bytes], None]) -> None:
        """Set how a connection of this gateway is told something."""
        ...

    async def connected(self, device: DeviceRef, connection_id: str) -> None:
        """Count a new connection."""
        ...

    async def disconnected(self, device: DeviceRef, connection_id: str) -> None:
        """Stop counting it, and end its watch. An unknown connection is nothing."""
        ...

    async def subscribe(self, user_id: str, connection_id: str, user_ids: Sequence[str]) -> list[frames.Presence]:
        """Replace whom the connection watches; return their states."""
        ...

    async def unsubscribe(self, user_id: str, connection_id: str) -> None:
        """Watch nobody any more."""
        ...

    async def refresh(self, user_id: str) -> None:
        """Decide anew who sees whom."""
        ...


class Typing(Protocol):
    """Passes typing indicators on."""

    def typing(self, device: DeviceRef, frame: frames.Typing) -> None:
        """Tell the other members. CooeeError ``bad_frame``."""
        ...


class Devices(Protocol):
    """Knows tokens."""

    async def authenticate(self, token: str) -> Device:
        """Return the device that is logged in with ``token``. CooeeError ``unauthorized``."""
        ...


class ToDevice(Protocol):
    """The queue of blobs between devices."""

    def send(self, sender: DeviceRef, frame: frames.ToDeviceSend, reply: Reply) -> None:
        """Queue the batch; ``reply`` gets one `Ack` or one `Error`. Never raises."""
        ...

    async def read_after(self, device: DeviceRef, after: int, limit: int) -> Sequence[ToDeviceMessage]:
        """Return what is queued above ``after``, in order."""
        ...

    async def acknowledge(self, device: DeviceRef, through: int) -> None:
        """Remove everything up to and including ``through``."""
        ...


class ConversationList(Protocol):
    """Reads watermarks of open chats."""

    async def watermarks(self, device: DeviceRef, conversation_ids: Sequence[str]) -> frames.Watermarks:
        """Return the current watermarks of those conversations that the user is in."""
        ...


class GatewayServices(msgspec.Struct, frozen=True):
    """Everything a gateway needs, by name."""

    messages: Messages
    receipts: Receipts
    sync: Sync
    views: Views
    presence: Presence
    typing: Typing
    devices: Devices
    to_device: ToDevice
    conversation_list: ConversationList
    sessions: Sessions
    router: Router
    push_queue: PushQueue
