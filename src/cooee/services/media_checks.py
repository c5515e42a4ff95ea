"""Whether a message may hold an object: it is there, it is what it is said to be, and the sender may see it."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cooee.domain.errors import CooeeError, bad_frame, not_found, unavailable
from cooee.domain.magic import HEAD_BYTES, agrees
from cooee.domain.media import INLINE, SEND_HOLD_MS
from cooee.domain.media_settings import MediaSettings
from cooee.ports.media import MediaObject, MediaState
from cooee.protocol.media import MediaContent
from cooee.services.media import MediaStores

CHECK_TIMEOUT_S = 30.0
"""How long the store has for one check."""


class MediaChecks:
    """Looks at the object of a message that is to be sent. What passes is kept until the message holds it."""

    def __init__(self, stores: MediaStores, settings: MediaSettings) -> None:
        self._media, self._blobs, self._clock = stores
        self._settings = settings
        self.refused: Counter[str] = Counter()
        """Messages that were refused because of their object, by code."""

    async def check(self, user_id: str, content: MediaContent) -> None:
        """Return when the user may send the object as ``content`` says.

        Raises:
            CooeeError: ``not_found``, no such object, or none that the user may see, or not uploaded yet;
                ``bad_frame``, another size, hash or type; ``unavailable``.
        """
        await self._in_time(self._check(user_id, content))

    async def check_encrypted(self, user_id: str, media_key: str) -> None:
        """Return when the user may send the object with an encrypted message: it was uploaded as encrypted.

        Raises:
            CooeeError: as `check`.
        """
        await self._in_time(self._check_encrypted(user_id, media_key))

    async def _in_time(self, check: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await check
        except TimeoutError:
            self.refused["unavailable"] += 1
            raise unavailable("the store of files does not answer; try again") from None
        except CooeeError as refusal:
            self.refused[refusal.code.value] += 1
            raise

    async def _check(self, user_id: str, content: MediaContent) -> None:
        media = await self._held(user_id, content.media_key)
        if (content.size, content.mime_type) != (media.size, media.content_type):
            raise bad_frame("content.size and content.mimeType must be those of the upload")
        if media.encrypted:
            raise bad_frame("an encrypted file goes with contentType encrypted")
        if media.state is MediaState.PENDING:
            await self._look(media)

    async def _check_encrypted(self, user_id: str, media_key: str) -> None:
        media = await self._held(user_id, media_key)
        if not media.encrypted:
            raise bad_frame("mediaKeys names files that were uploaded with encrypted: true")
        if media.state is MediaState.PENDING:
            await self._look(media)

    async def _held(self, user_id: str, media_key: str) -> MediaObject:
        media = await self._media.hold(media_key, user_id, self._clock.wall_ms() + SEND_HOLD_MS)
        if media is None:
            raise not_found("the file")
        return media

    async def _look(self, media: MediaObject) -> None:
        """Look at what was uploaded; once, because objects never change."""
        found = await self._blobs.stat(media.key)
        if found is None:
            raise not_found("the uploaded file")
        if (found.size, found.sha256) != (media.size, media.sha256):
            raise bad_frame("the uploaded file has another size or hash than was asked for")
        if not media.encrypted and not agrees(media.content_type, await self._head(media.key)):
            raise bad_frame(f"the uploaded file is not {media.content_type}")
        is_inspected = not media.encrypted and self._settings.inspection and media.content_type in INLINE
        await self._media.update(media.key, MediaState.STORED if is_inspected else MediaState.READY, b"{}")

    async def _head(self, key: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="cooee-") as folder:
            path = Path(folder, "head")
            await self._blobs.read(key, path, limit=HEAD_BYTES)
            return await asyncio.to_thread(path.read_bytes)
