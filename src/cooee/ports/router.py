"""From wherever something happens to the gateways whose connections should hear of it. May drop anything."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from cooee.domain.ids import DeviceRef


class RouteKind(IntEnum):
    """What a gateway does with a routed frame."""

    MESSAGE = 1
    """A numbered message of a small conversation: offered in order, resent, counted in the window."""
    HINT = 2
    """A numbered message of a large group: in full to sessions that follow it, a ``timeline`` hint to the others."""
    EVENT = 3
    """Sent as it is to live sessions: receipts, typing, presence, own state."""
    TO_DEVICE = 4
    """Something was queued for the device; the gateway reads the queue."""
    CLOSE = 5
    """Close the sessions of the device, or of the user: ``frame`` is ``<code> <reason>``."""
    REFRESH = 6
    """Cached facts about the users changed (settings, blocks, membership): forget them."""


class Routed(msgspec.Struct, frozen=True, gc=False):
    """One item for one gateway, encoded once for all its receivers.

    ``except_device`` gets nothing (the sending device); ``only_device`` narrows the users' devices to one id.
    ``only_connection`` narrows a CLOSE to one connection, which may be gone.
    ``envelopes``: (userId, deviceId) → the frame's ``envelope`` JSON value, for encrypted direct messages.
    """

    kind: RouteKind
    user_ids: tuple[str, ...]
    frame: bytes
    conversation_id: str = ""
    sequence_number: int = 0
    except_device: DeviceRef | None = None
    only_device: str = ""
    envelopes: dict[DeviceRef, str] | None = None
    at: float = 0.0
    only_connection: str = ""


class Router(Protocol):
    """Publish and subscribe by gateway."""

    async def publish(self, server_id: str, items: Sequence[Routed]) -> bool:
        """Hand the items to a gateway in one message; False when nobody listens there."""
        ...

    async def subscribe(self, server_id: str, receive: Callable[[Sequence[Routed]], None]) -> None:
        """Have ``receive`` called on the event loop with what is published to ``server_id``."""
        ...

    async def unsubscribe(self, server_id: str) -> None:
        """Stop listening."""
        ...
