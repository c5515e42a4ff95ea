"""What only a bucket does: a store that is away, refuses, or keeps no checksum of its own."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from cooee.adapters.memory.clock import SystemClock
from cooee.adapters.s3.blobs import S3Blobs
from cooee.adapters.s3.bucket import Bucket, S3Settings
from cooee.domain.errors import CooeeError, ErrorCode
from tests.conftest import Need
from tests.contract.blob_stores import PART, Place, new_key, s3_place, s3_settings, stat_of
from tests.contract.seaweed import SECRET_KEY, Seaweed, seaweed, weed
from tests.fakes.clock import ManualClock

CONTENT = b"content"
NOWHERE = s3_settings("http://127.0.0.1:9")
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, need: Need) -> Iterator[Seaweed]:
    """Run one SeaweedFS for the whole module."""
    need(weed() is not None, "SeaweedFS", "scripts/setup services")
    with seaweed(tmp_path_factory.mktemp("seaweed")) as started:
        yield started


@pytest.fixture
async def place(running: Seaweed) -> AsyncIterator[Place]:
    """Yield a bucket."""
    async with s3_place(running.endpoint, SystemClock()) as made:
        yield made


async def examined(settings: S3Settings) -> str:
    """Return what the doctor is told."""
    blobs = S3Blobs(settings, SystemClock())
    try:
        return await blobs.examine()
    finally:
        await blobs.aclose()


async def test_a_bucket_is_examined(place: Place, running: Seaweed) -> None:
    good = s3_settings(running.endpoint)
    assert await examined(good) == ""
    assert "does not take the key" in await examined(msgspec.structs.replace(good, secret_key="wrong"))
    assert "is there such a bucket" in await examined(msgspec.structs.replace(good, bucket="nothing-here"))
    assert "does not answer" in await examined(NOWHERE)
    assert await place.blobs.stat(new_key()) is None


async def test_a_store_that_is_away_is_unavailable(tmp_path: Path) -> None:
    blobs, key = S3Blobs(NOWHERE, SystemClock()), new_key()
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    for call in (
        blobs.stat(key),
        blobs.read(key, tmp_path / "copy"),
        blobs.write(key, file, stat_of(CONTENT)),
        blobs.delete(key),
        blobs.sign_parts(key, stat_of(CONTENT), SystemClock().wall_ms() + 1000),
        blobs.complete_parts(key, stat_of(CONTENT), "x"),
    ):
        with pytest.raises(CooeeError) as refused:
            await call
        assert refused.value.code is ErrorCode.UNAVAILABLE
    await blobs.aclose()


async def test_an_object_without_a_checksum_is_read_for_its_hash(place: Place, running: Seaweed) -> None:
    key = new_key()
    bucket = Bucket(s3_settings(running.endpoint), SystemClock())
    await bucket.ask("PUT", key, {}, {"content-type": "image/png"}, io.BytesIO(CONTENT))
    await bucket.aclose()
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_many_ask_for_it_at_once(place: Place) -> None:
    content = CONTENT * 1000
    key, stat = new_key(), stat_of(content)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    await place.client.do(upload.requests[0], content)
    await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert await asyncio.gather(*(place.blobs.stat(key) for _ in range(8))) == [stat] * 8


async def test_a_download_counts_as_signed_before_so_that_it_is_the_same_for_all() -> None:
    clock = ManualClock()
    blobs, key = S3Blobs(NOWHERE, clock), new_key()
    end = clock.wall_ms() + DAY_MS
    first = await blobs.sign_download(key, end, "", "image/png", inline=True)
    clock.advance(3600)
    assert await blobs.sign_download(key, end, "", "image/png", inline=True) == first
    with pytest.raises(ValueError, match="seven days"):
        await blobs.sign_upload(key, stat_of(CONTENT), clock.wall_ms() + 8 * DAY_MS)
    with pytest.raises(ValueError, match="seven days"):
        await blobs.sign_upload(key, stat_of(CONTENT), clock.wall_ms())


async def test_where_clients_go() -> None:
    clock, key = ManualClock(), new_key()
    for changes, start in (
        ({}, f"http://127.0.0.1:9/media/{key}?"),
        ({"path_style": False}, f"http://media.127.0.0.1:9/{key}?"),
        ({"public_endpoint": "https://files.example"}, f"https://files.example/media/{key}?"),
        ({"endpoint": "https://example.org/s3/"}, f"https://example.org/s3/media/{key}?"),
    ):
        blobs = S3Blobs(msgspec.structs.replace(NOWHERE, **changes), clock)
        upload = await blobs.sign_upload(key, stat_of(CONTENT), clock.wall_ms() + 60_000)
        assert upload.url.startswith(start)


def test_the_secret_is_not_shown() -> None:
    assert SECRET_KEY not in repr(NOWHERE)
    assert NOWHERE.part_bytes == PART
