"""The store of media that is configured: a part of the composition root, which names its two adapters."""

import asyncio
from pathlib import Path

from cooee.adapters.files.blobs import FolderBlobs, FolderSettings, examine_folder
from cooee.adapters.memory.clock import SystemClock
from cooee.adapters.s3.blobs import S3Blobs
from cooee.adapters.s3.bucket import S3Settings
from cooee.app.config import Config
from cooee.gateway.http.app import Around
from cooee.gateway.http.blobs import BlobRoutes
from cooee.ports.clock import Clock

MediaStore = FolderBlobs | S3Blobs


def open_media_store(config: Config, clock: Clock) -> MediaStore:
    """Open it. Blocks for a folder, which is made; a bucket is not asked before it is needed.

    Raises:
        OSError: the folder, or the file of a secret, cannot be used.
        UnicodeDecodeError: the file holds no text.
    """
    if config.media.store == "s3":
        return S3Blobs(_s3_settings(config), clock)
    return FolderBlobs(_folder_settings(config), clock)


def routes_to(store: MediaStore, clock: Clock) -> Around | None:
    """Return what answers the signed requests that lead to this server, None when they lead elsewhere."""
    if isinstance(store, S3Blobs):
        return None
    return lambda app: BlobRoutes(app, store.files, clock)


def examine_media(config: Config) -> tuple[str, str]:
    """Return where files of messages lie, and what is wrong with that place, empty: nothing is. Blocks."""
    if config.media.store == "folder":
        settings = _folder_settings(config)
        return str(settings.folder), examine_folder(settings.folder, settings.secret_file)
    where = f"bucket {config.s3.bucket} of {config.s3.endpoint}"
    try:
        blobs = S3Blobs(_s3_settings(config), SystemClock())
    except (OSError, UnicodeDecodeError) as problem:
        return where, f"s3.secret_key_file cannot be read: {problem}"
    return where, asyncio.run(_examined(blobs))


async def _examined(blobs: S3Blobs) -> str:
    try:
        return await blobs.examine()
    finally:
        await blobs.aclose()


def _folder_settings(config: Config) -> FolderSettings:
    data = Path(config.server.data_dir)
    return FolderSettings(
        folder=Path(config.media.folder) if config.media.folder else data / "media",
        secret_file=data / "media.key",
        part_bytes=config.media.part_bytes,
        keep_free_bytes=config.media.keep_free_bytes,
    )


def _s3_settings(config: Config) -> S3Settings:
    s3 = config.s3
    secret = s3.secret_key or Path(s3.secret_key_file).read_text("utf-8").strip()
    return S3Settings(
        endpoint=s3.endpoint,
        public_endpoint=s3.public_endpoint,
        region=s3.region,
        bucket=s3.bucket,
        access_key=s3.access_key,
        secret_key=secret,
        path_style=s3.path_style,
        part_bytes=config.media.part_bytes,
    )
