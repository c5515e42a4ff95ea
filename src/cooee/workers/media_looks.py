"""A look at files after their message was sent: thumbnails, sizes, waveforms; then members' live sessions are told.

What is to be looked at stands in the store, so what was not done before a crash is done after it.
"""

import asyncio
import base64
import hashlib
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import structlog

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.ports.blobs import BlobStat, NoRoom
from cooee.ports.media import MediaObject, MediaState
from cooee.ports.media_inspector import Findings, MediaInspector
from cooee.protocol.codec import encode
from cooee.protocol.frames import MediaSeen
from cooee.protocol.media import MediaDetails, ThumbnailDetails
from cooee.services.conversations import ConversationViews
from cooee.services.media import THUMBNAIL, MediaStores
from cooee.services.routes import Routes

BATCH = 16
MAX_TOLD = 100
"""Conversations that are told of one file."""
ATTEMPTS = 3
"""Looks at one file that may fail in this process before it is left as it is."""
_IDLE_S = 60.0
_RETRY_S = 5.0
_log = structlog.get_logger(__name__)


class Telling(NamedTuple):
    """How members learn of it."""

    views: ConversationViews
    routes: Routes


class Desk(NamedTuple):
    """Where files lie meanwhile, in a folder of its own, and the bytes of its disk that they leave free."""

    folder: Path
    keep_free: int


class MediaLooks:
    """Looks at what waits, a few at a time, and as few of one owner: whose files take long holds up himself."""

    def __init__(
        self, stores: MediaStores, inspector: MediaInspector, telling: Telling, at_once: int, desk: Desk
    ) -> None:
        self._media, self._blobs, _ = stores
        self._inspector = inspector
        self._telling = telling
        self._per_owner = at_once
        self._at_once = asyncio.Semaphore(at_once)
        self._folder, self._keep_free = desk
        self._on_desk = 0
        self._wake = asyncio.Event()
        self._failures: Counter[str] = Counter()
        self.looked = 0
        """Files looked at since the server began."""
        self.thumbnails = 0
        self.unseen: Counter[str] = Counter()
        """Files of which nothing is shown, by reason."""

    def notice(self) -> None:
        """There may be something to look at."""
        self._wake.set()

    async def run(self) -> None:
        """Look at what waits, until cancelled."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)  # what a crash left
        while True:
            self._wake.clear()
            try:
                more = await self.look()
            except CooeeError as refusal:
                _log.warning("files cannot be looked at now", problem=str(refusal))
                await asyncio.sleep(_RETRY_S)
                continue
            if not more:
                await self._wait()

    async def look(self) -> bool:
        """Look at what waits, at most `BATCH` files; True: there may be more."""
        waiting = await self._media.waiting(BATCH, self._per_owner)
        outcomes = await asyncio.gather(*map(self._look_safely, waiting))
        return any(outcomes)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look_safely(self, media: MediaObject) -> bool:
        """Look at one file; False: it failed, and is looked at again later."""
        async with self._at_once:
            try:
                details = await self._look(media)
            except CooeeError as refusal:
                if refusal.code is not ErrorCode.NOT_FOUND:
                    return False
                details = MediaDetails()
            except Exception:  # noqa: BLE001  # one file's trouble is not that of the others
                self._failures[media.key] += 1
                if self._failures[media.key] < ATTEMPTS:
                    _log.warning("a file could not be looked at; once more later", exc_info=True)
                    return False
                _log.exception("a file could not be looked at")
                self.unseen["failed"] += 1
                details = MediaDetails()
            self._failures.pop(media.key, None)
            await self._media.update(media.key, MediaState.READY, encode(details))
            self.looked += 1
            self.thumbnails += details.thumbnail is not None
            await self._tell(media.key, details)
            return True

    async def _look(self, media: MediaObject) -> MediaDetails:
        self._on_desk += media.size
        try:
            return await self._look_at_copy(media)
        finally:
            self._on_desk -= media.size

    async def _look_at_copy(self, media: MediaObject) -> MediaDetails:
        folder = await asyncio.to_thread(self._new_folder)
        try:
            path = Path(folder.name, "file")
            await self._blobs.read(media.key, path)
            findings = await self._inspector.inspect(path, media.content_type)
            if findings.unseen is not None:
                self.unseen[findings.unseen.value] += 1
            return _details(findings, await self._keep(media.key, findings))
        finally:
            await asyncio.to_thread(folder.cleanup)

    def _new_folder(self) -> "tempfile.TemporaryDirectory[str]":
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free - self._on_desk < self._keep_free:
            raise NoRoom
        return tempfile.TemporaryDirectory(prefix="cooee-", dir=self._folder)

    async def _keep(self, key: str, findings: Findings) -> ThumbnailDetails | None:
        path = findings.thumbnail
        if path is None:
            return None
        size, digest = await asyncio.to_thread(_measured, path)
        await self._blobs.write(key + THUMBNAIL, path, BlobStat(size, digest, findings.thumbnail_type))
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return ThumbnailDetails(size, digest.hex(), findings.thumbnail_type)

    async def _tell(self, key: str, details: MediaDetails) -> None:
        """Tell members who may see the file of what was found; soft, so nothing that fails here matters."""
        seen = details.seen()
        if not any(seen.values()):
            return
        for conversation_id, number in await self._media.holders(key, MAX_TOLD):
            try:
                view = await self._telling.views.load(conversation_id)
            except CooeeError:
                continue
            self._telling.routes.to_users(view.recipients(number), MediaSeen(conversation_id, key, **seen))


def _measured(path: Path) -> tuple[int, bytes]:
    content = path.read_bytes()
    return len(content), hashlib.sha256(content).digest()


def _details(findings: Findings, thumbnail: ThumbnailDetails | None) -> MediaDetails:
    waveform = base64.urlsafe_b64encode(findings.waveform or b"").rstrip(b"=").decode() or None
    return MediaDetails(
        findings.content_type,
        findings.width,
        findings.height,
        findings.duration_ms,
        findings.blurhash,
        waveform,
        thumbnail,
    )
