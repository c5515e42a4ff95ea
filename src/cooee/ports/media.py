"""Media: what is known of the objects that lie in the blob store, and which messages hold them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class MediaState(StrEnum):
    """How far an object is."""

    PENDING = "pending"
    """An upload was granted; nobody has seen the object yet."""
    STORED = "stored"
    """It was there when a message was sent: size, hash and, unless encrypted, type are right."""
    READY = "ready"
    """It was looked at, or there is nothing to look at: ``details`` are final."""


class MediaObject(msgspec.Struct, frozen=True, gc=False):
    """One object. ``content_type`` is what its owner declared; ``details`` (JSON) what was found out about it."""

    key: str
    owner_id: str
    size: int
    sha256: bytes
    content_type: str
    created_at: int
    encrypted: bool = False
    filename: str = ""
    state: MediaState = MediaState.PENDING
    details: bytes = b"{}"


class Media(Protocol):
    """Objects, durable. The message log itself notes which message holds which object (`LogRecord.media`).

    Once a message holds an object, it is kept for its own sake only `domain.media.SEND_HOLD_MS` longer, by record time:
    so it goes soon after the last message that held it.

    An object counts against its owner's quota from `create` until `forget`. It may be seen by its owner, and by whoever
    may see a message that holds it, former members included.
    """

    async def create(self, media: MediaObject, keep_until: int, quota: int) -> int:
        """Store a new object in state pending, which is no garbage before ``keep_until`` (ms).

        Returns how many bytes the owner's objects count now.

        Raises:
            CooeeError: ``too_large`` with ``used`` and ``allowed`` (bytes) when the owner's objects would be more than
                ``quota`` bytes together. An object counts with `domain.media.LEAST_COUNTED` bytes at least.
        """
        ...

    async def find(self, key: str, user_id: str) -> MediaObject | None:
        """Return the object if the user may see it. What is garbage already is not found."""
        ...

    async def hold(self, key: str, user_id: str, keep_until: int) -> MediaObject | None:
        """As `find`, and the object is no garbage before ``keep_until`` (ms). Durable."""
        ...

    async def update(self, key: str, state: MediaState, details: bytes) -> None:
        """Note what became of an object. A state never goes back: then nothing changes. Durable."""
        ...

    async def holders(self, key: str, limit: int) -> Sequence[tuple[str, int]]:
        """Return conversations with a message that holds the object, each with the last such number.

        At most ``limit``.
        """
        ...

    async def waiting(self, limit: int, per_owner: int) -> Sequence[MediaObject]:
        """Return objects in state stored that a message holds, oldest first, encrypted ones excepted.

        At most ``per_owner`` of each owner: his oldest.
        """
        ...

    async def garbage(self, now_ms: int, limit: int) -> Sequence[MediaObject]:
        """Take objects that no message holds and nobody keeps any more; from now on nobody finds them.

        They are returned again until `forget` is called for them. Durable.
        """
        ...

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove what is garbage, after it has left the blob store; other objects are left alone. Durable."""
        ...
