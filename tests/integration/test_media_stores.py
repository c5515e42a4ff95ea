"""The stores of files under the real server: a bucket instead of the folder, large files, and starts that fail."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cooee.adapters.memory.clock import SystemClock
from tests.conftest import Need
from tests.contract.blob_stores import s3_place
from tests.contract.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed, seaweed, weed
from tests.fakes.certificates import trusting, write_pair
from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.scene import Person, dm

PIECE = bytes(range(256)) * 4096
PIECES = 128
PNG = b"\x89PNG\r\n\x1a\n" + PIECE[:100_000]
MIB = 1024 * 1024

once = pytest.mark.parametrize("transport", ["websocket"])
"""Files do not go by the transport."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, need: Need) -> Iterator[Seaweed]:
    """Run one SeaweedFS for the module."""
    need(weed() is not None, "SeaweedFS", "scripts/setup services")
    with seaweed(tmp_path_factory.mktemp("seaweed")) as started:
        yield started


async def granted(person: Person, size: int, sha256: str, content_type: str) -> Any:
    """Ask for an upload."""
    wish = {"contentType": content_type, "size": size, "sha256": sha256, "filename": "a file"}
    return await person.http("POST", "/v1/media/uploads", wish)


async def put(person: Person, url: str, body: Any, headers: dict[str, str]) -> int:
    """Send a body to where it may go; return the status."""
    wire = person.scene.wire
    whole = wire.url + url if url.startswith("/") else url
    data = io.BytesIO(body) if isinstance(body, bytes) else body
    async with wire.client.put(whole, data=data, headers=headers) as answer:
        return answer.status


async def send(sender: Person, receiver: Person, key: str, mime_type: str, size: int) -> None:
    """Send a file that was uploaded."""
    message = {
        "clientMessageId": "c1",
        "conversationId": dm(sender, receiver),
        "contentType": "image" if mime_type == "image/png" else "document",
        "content": {"mediaKey": key, "mimeType": mime_type, "size": size},
    }
    await sender.http("POST", "/v1/messages", message)


def peak_of(server: ServerProcess) -> int:
    """Return the most memory that the process has had, in bytes."""
    for line in Path(f"/proc/{server.pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not tell")


@once
async def test_files_go_to_a_bucket_and_come_from_there(
    bucket: Seaweed, new_server: NewServer, new_scene: NewScene, tmp_path: Path
) -> None:
    async with s3_place(bucket.endpoint, SystemClock()):
        pass  # it makes the bucket
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET_KEY}\n")
    server = new_server(
        MEDIA_STORE="s3",
        S3_ENDPOINT=bucket.endpoint,
        S3_BUCKET=BUCKET,
        S3_ACCESS_KEY=ACCESS_KEY,
        S3_SECRET_KEY_FILE=str(secret),
    )
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    upload = await granted(alice, len(PNG), hashlib.sha256(PNG).hexdigest(), "image/png")
    assert upload["uploadUrl"].startswith(bucket.endpoint)
    assert await put(alice, upload["uploadUrl"], b"x" * len(PNG), upload["headers"]) == 400
    assert await put(alice, upload["uploadUrl"], PNG, upload["headers"]) == 200
    await send(alice, bob, upload["mediaKey"], "image/png", len(PNG))
    link = await bob.http("GET", f"/v1/media/{upload['mediaKey']}?redirect=false")
    async with scene.wire.client.get(link["url"], headers={"range": "bytes=0-7"}) as answer:
        assert (answer.status, await answer.read()) == (206, PNG[:8])
        assert answer.headers["content-type"] == "image/png"
    assert not (server.data / "media").exists()
    assert SECRET_KEY not in server.log


@once
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_large_file_costs_little_memory(
    new_server: NewServer, new_scene: NewScene, tmp_path: Path, encrypted: bool
) -> None:
    pair = write_pair(tmp_path)
    tls = {"TLS_CERT": str(pair.certificate), "TLS_KEY": str(pair.key)} if encrypted else {}
    server = new_server(MEDIA_PART_BYTES=str(1024 * MIB), **tls)
    base, trust = server.url, trusting() if encrypted else True
    server.url = base.replace("https://", "http://")  # where programs of this machine find it, too
    alice, bob = await new_scene(server).people("alice", "bob")
    digest = hashlib.sha256()
    for _ in range(PIECES):
        digest.update(PIECE)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    size, before = len(PIECE) * PIECES, peak_of(server)
    upload = await granted(alice, size, digest.hexdigest(), "application/octet-stream")
    headers = upload["headers"] | {"content-length": str(size)}
    async with aiohttp.ClientSession() as client:
        async with client.put(base + upload["uploadUrl"], data=body(), headers=headers, ssl=trust) as answer:
            assert answer.status == 201
        await send(alice, bob, upload["mediaKey"], "application/octet-stream", size)
        link = await bob.http("GET", f"/v1/media/{upload['mediaKey']}?redirect=false")
        got = hashlib.sha256()
        async with client.get(base + link["url"], ssl=trust) as answer:
            async for piece in answer.content.iter_chunked(MIB):
                got.update(piece)
    assert got.digest() == digest.digest()
    assert peak_of(server) - before < size // 4


@once
async def test_a_stop_in_the_middle_keeps_what_came(new_server: NewServer, new_scene: NewScene) -> None:
    server = new_server()
    scene = new_scene(server)
    alice = await scene.person("alice")
    content = PIECE * 4
    upload = await granted(alice, len(content), hashlib.sha256(content).hexdigest(), "application/octet-stream")
    partial = server.data / "media" / "incoming" / f"{upload['mediaKey']}.partial"
    stopped = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield content[: 3 * len(PIECE)]
        await stopped.wait()

    headers = upload["headers"] | {"content-length": str(len(content))}
    sending = asyncio.create_task(put(alice, upload["uploadUrl"], body(), headers))
    while not partial.exists() or not partial.stat().st_size:  # noqa: ASYNC110  # only the disk knows
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(server.stop) == 0
    stopped.set()
    with pytest.raises(aiohttp.ClientError):
        await sending
    there = partial.stat().st_size  # once
    assert there <= 3 * len(PIECE)
    server.start()
    await scene.wire.renew()
    headers = upload["headers"] | {"content-range": f"bytes {there}-{len(content) - 1}/{len(content)}"}
    assert await put(alice, upload["uploadUrl"], content[there:], headers) == 201


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "in-the-way"
    in_the_way.write_text("no folder")
    for settings, says in (
        ({"MEDIA_FOLDER": str(in_the_way)}, str(in_the_way)),
        ({"MEDIA_STORE": "s3"}, "s3.endpoint is not set"),
        (
            {
                "MEDIA_STORE": "s3",
                "S3_ENDPOINT": "http://127.0.0.1:9",
                "S3_BUCKET": "b",
                "S3_ACCESS_KEY": "a",
                "S3_SECRET_KEY_FILE": str(tmp_path / "gone"),
            },
            str(tmp_path / "gone"),
        ),
    ):
        with pytest.raises(ServerEnded) as ended:
            ServerProcess(tmp_path / "server", settings).start()
        assert says in ended.value.output
        assert "Traceback" not in ended.value.output
