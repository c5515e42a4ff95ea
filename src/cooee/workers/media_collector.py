"""Files that no message holds any more, or ever held, leave the store."""

import asyncio

import structlog

from cooee.domain.errors import CooeeError
from cooee.ports.media import MediaObject
from cooee.services.media import THUMBNAIL, MediaStores

BATCH = 100
_PAUSE_S = 0.05
_log = structlog.get_logger(__name__)


class MediaCollector:
    """Takes garbage, removes it from the blob store, then forgets it: killed between, it begins there again."""

    def __init__(self, stores: MediaStores, interval_s: float) -> None:
        self._media, self._blobs, self._clock = stores
        self._interval_s = interval_s
        self.collected = 0
        """Objects removed since the server began."""
        self.collected_bytes = 0

    async def run(self) -> None:
        """Collect now and then, until cancelled. A failure is logged and tried again."""
        while True:
            more = False
            try:
                more = await self.collect() >= BATCH
            except CooeeError as refusal:
                _log.warning("files that nothing holds cannot be removed now", problem=str(refusal))
            except Exception:  # noqa: BLE001  # the next time comes
                _log.exception("files that nothing holds could not be removed")
            await asyncio.sleep(_PAUSE_S if more else self._interval_s)

    async def collect(self) -> int:
        """Do one bounded step, and return how many objects went."""
        garbage = await self._media.garbage(self._clock.wall_ms(), BATCH)
        gone: list[MediaObject] = []
        try:
            for media in garbage:
                await self._blobs.delete(media.key + THUMBNAIL)
                await self._blobs.delete(media.key)
                gone.append(media)
        finally:
            if gone:
                await self._media.forget([media.key for media in gone])
        self.collected += len(gone)
        self.collected_bytes += sum(media.size for media in gone)
        return len(gone)
