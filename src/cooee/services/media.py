"""Uploads and downloads of media: who may, how much, and where (PROTOCOL.md §18). The bytes go to the store itself."""

import secrets
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.media import (
    INLINE,
    OCTETS,
    download_expiry,
    is_filename,
    is_media_key,
    is_mime_type,
    is_same_kind,
    larger_than,
)
from cooee.domain.media_settings import MediaSettings
from cooee.ports.blobs import Blobs, BlobStat, PartedUpload, SignedRequest
from cooee.ports.clock import Clock
from cooee.ports.media import Media, MediaObject, MediaState
from cooee.protocol.media import (
    MediaDetails,
    MediaLink,
    RequestUpload,
    Upload,
    UploadPart,
    UploadParts,
    decode_details,
)
from cooee.services.budgets import Budgets

THUMBNAIL = ".thumb"
"""What stands behind the key of an object in that of its thumbnail."""
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


class MediaStores(NamedTuple):
    """What is known of objects, and the objects."""

    media: Media
    blobs: Blobs
    clock: Clock


class MediaCounters:
    """What media did since the server began."""

    def __init__(self) -> None:
        self.uploads = 0
        self.upload_bytes = 0
        self.downloads = 0


class MediaService:
    """Grants uploads and downloads."""

    def __init__(self, stores: MediaStores, budgets: Budgets, settings: MediaSettings) -> None:
        self._media, self._blobs, self._clock = stores
        self._budgets = budgets
        self._settings = settings
        self.counters = MediaCounters()

    async def request_upload(self, user_id: str, wanted: RequestUpload) -> Upload:
        """Grant an upload of exactly what is asked for; it counts against the user's quota from now on.

        Raises:
            CooeeError: ``bad_frame``; ``too_large`` with ``allowed``, and ``used`` when it is the quota;
                ``rate_limited``; ``not_found`` or ``conflict`` for a ``mediaKey`` of something else.
        """
        stat = self._checked(wanted)
        self._budgets.spend("media_uploads", user_id)
        now = self._clock.wall_ms()
        used, quota = None, self._settings.user_quota_bytes
        if wanted.media_key:
            media = await self._begun(user_id, wanted.media_key, stat)
            if media.state is not MediaState.PENDING or await self._blobs.stat(media.key) is not None:
                return Upload(media.key, None, None, {}, now, uploaded=True, quota_bytes=quota)
        else:
            media = MediaObject(
                secrets.token_urlsafe(24),
                user_id,
                stat.size,
                stat.sha256,
                stat.content_type,
                now,
                wanted.encrypted,
                wanted.filename,
            )
            used = await self._media.create(media, kept_until(self._clock, self._settings), quota)
            self.counters.uploads += 1
            self.counters.upload_bytes += media.size
        granted = await self._sign(media.key, stat, now)
        return msgspec.structs.replace(granted, used_bytes=used, quota_bytes=quota)

    async def complete(self, user_id: str, key: str, upload_id: str) -> None:
        """Join the parts of an upload.

        Raises:
            CooeeError: ``not_found``; ``conflict`` when parts lack; ``bad_frame`` when the whole has another hash.
        """
        media = await self._own(user_id, key)
        await self._blobs.complete_parts(key, stat_of(media), upload_id)

    async def download(self, user_id: str, key: str, *, thumbnail: bool = False) -> MediaLink:
        """Return where to get an object, or its thumbnail.

        Raises:
            CooeeError: ``not_found``, also when it is there and the user may see no message that holds it. His own
                encrypted files he may fetch as soon as they are there: an archive for another device is in no message.
        """
        media = await self._media.find(key, user_id) if is_media_key(key) else None
        if media is None or (media.state is MediaState.PENDING and not await self._is_own_archive(media, user_id)):
            raise not_found("the file")
        details = decode_details(media.details)
        link = await (self._thumbnail(media, details) if thumbnail else self._whole(media, details))
        self.counters.downloads += 1
        return link

    async def _is_own_archive(self, media: MediaObject, user_id: str) -> bool:
        own = media.encrypted and media.owner_id == user_id
        return own and await self._blobs.stat(media.key) == stat_of(media)

    def _checked(self, wanted: RequestUpload) -> BlobStat:
        if not is_mime_type(wanted.content_type):
            raise bad_frame("contentType must be a type and subtype in lower case, without parameters")
        if wanted.filename and not is_filename(wanted.filename):
            raise bad_frame("filename must be the name of a file, without a path, of at most 255 bytes")
        content_type = OCTETS if wanted.encrypted else wanted.content_type
        if wanted.size > (largest := self._settings.largest(wanted.content_type)):
            raise larger_than(largest)
        return BlobStat(wanted.size, bytes.fromhex(wanted.sha256), content_type)

    async def _begun(self, user_id: str, key: str, stat: BlobStat) -> MediaObject:
        media = await self._own(user_id, key)
        if stat_of(media) != stat:
            raise CooeeError(ErrorCode.CONFLICT, "this mediaKey stands for another file; ask for a new upload")
        await self._media.hold(key, user_id, kept_until(self._clock, self._settings))
        return media

    async def _own(self, user_id: str, key: str) -> MediaObject:
        media = await self._media.find(key, user_id) if is_media_key(key) else None
        if media is None or media.owner_id != user_id:
            raise not_found("the upload")
        return media

    async def _sign(self, key: str, stat: BlobStat, now: int) -> Upload:
        minutes = self._settings.upload_minutes
        if stat.size <= self._settings.part_bytes:
            request = await self._blobs.sign_upload(key, stat, now + round(minutes * _MINUTE_MS))
            return Upload(key, request.url, request.method, request.headers, request.expires_at)
        parts = -(-stat.size // self._settings.part_bytes)
        longest = round(self._settings.garbage_hours * _HOUR_MS)
        expires_at = now + min(round(parts * minutes * _MINUTE_MS), longest)
        parted = await self._blobs.sign_parts(key, stat, expires_at)
        return Upload(key, None, None, {}, expires_at, _parts(parted))

    async def _whole(self, media: MediaObject, details: MediaDetails) -> MediaLink:
        inline = media.content_type in INLINE and not media.encrypted and not _is_other(media, details)
        content_type = OCTETS if _is_other(media, details) else media.content_type
        request = await self._blobs.sign_download(
            media.key, self._download_until(), media.filename, content_type, inline=inline
        )
        return self._link(media, details, request, BlobStat(media.size, media.sha256, content_type))

    async def _thumbnail(self, media: MediaObject, details: MediaDetails) -> MediaLink:
        found = details.thumbnail
        if found is None:
            raise not_found("a thumbnail of this file")
        key = media.key + THUMBNAIL
        request = await self._blobs.sign_download(key, self._download_until(), "", found.content_type, inline=True)
        return self._link(
            media, details, request, BlobStat(found.size, bytes.fromhex(found.sha256), found.content_type)
        )

    def _link(self, media: MediaObject, details: MediaDetails, request: SignedRequest, stat: BlobStat) -> MediaLink:
        return MediaLink(
            media.key,
            self._by_cdn(request.url),
            request.expires_at,
            stat.content_type,
            stat.size,
            stat.sha256.hex(),
            media.filename,
            media.encrypted,
            **details.seen(),
        )

    def _download_until(self) -> int:
        return download_expiry(self._clock.wall_ms(), round(self._settings.download_minutes * _MINUTE_MS))

    def _by_cdn(self, url: str) -> str:
        if not self._settings.cdn_base_url:
            return url
        base, parts = urlsplit(self._settings.cdn_base_url), urlsplit(url)
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))


def stat_of(media: MediaObject) -> BlobStat:
    """Return what must lie in the store."""
    return BlobStat(media.size, media.sha256, media.content_type)


def kept_until(clock: Clock, settings: MediaSettings) -> int:
    """Return until when (ms) an object is kept that no message holds."""
    return clock.wall_ms() + round(settings.garbage_hours * _HOUR_MS)


def _is_other(media: MediaObject, details: MediaDetails) -> bool:
    """Tell whether the content turned out to be something else than was declared."""
    return bool(details.content_type) and not is_same_kind(media.content_type, details.content_type)


def _parts(parted: PartedUpload) -> UploadParts:
    requests = tuple(UploadPart(one.url, one.method, one.headers) for one in parted.requests)
    return UploadParts(parted.upload_id, parted.part_size, requests)
