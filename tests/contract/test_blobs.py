"""What every store of media promises, over a real socket: the folder behind this server's port, S3 on SeaweedFS."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from cooee.adapters.memory.clock import SystemClock
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.ports.blobs import SignedRequest
from tests.conftest import Need
from tests.contract.blob_stores import PART, Place, folder_place, new_key, s3_place, stat_of
from tests.contract.seaweed import Seaweed, seaweed, weed
from tests.contract.stores import HOSTILE

CONTENT = bytes(range(256)) * 40
WEEK_MS = 7 * 86_400_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, need: Need) -> Iterator[Seaweed]:
    """Run one SeaweedFS for the whole module."""
    need(weed() is not None, "SeaweedFS", "scripts/setup services")
    with seaweed(tmp_path_factory.mktemp("seaweed")) as started:
        yield started


@pytest.fixture(params=["folder", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Yield each store."""
    clock = SystemClock()
    if request.param == "folder":
        async with folder_place(tmp_path, clock) as made:
            yield made
    else:
        async with s3_place(request.getfixturevalue("running").endpoint, clock) as made:
            yield made


async def uploaded(place: Place, content: bytes = CONTENT, content_type: str = "image/png") -> str:
    """Upload an object and return its key."""
    key = new_key()
    request = await place.blobs.sign_upload(key, stat_of(content, content_type), place.soon())
    assert (await place.client.do(request, content)).status in {200, 201}
    return key


async def download(place: Place, key: str, name: str = "", *, inline: bool = False) -> SignedRequest:
    """Sign a download."""
    return await place.blobs.sign_download(key, place.soon(), name, "image/png", inline=inline)


def changed(url: str, name: str, value: str) -> str:
    """Return an address with another value of a parameter."""
    head, _, query = url.partition("?")
    pairs = [(each, value if each == name else old) for each, old in parse_qsl(query, keep_blank_values=True)]
    return f"{head}?{urlencode(pairs)}"


# --- one piece --------------------------------------------------------------------------------------------------------


async def test_what_was_signed_is_stored_and_read(place: Place, tmp_path: Path) -> None:
    key = await uploaded(place)
    assert await place.blobs.stat(key) == stat_of(CONTENT)
    reply = await place.client.do(await download(place, key, "cat.png"))
    assert (reply.status, reply.body) == (200, CONTENT)
    await place.blobs.read(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    await place.blobs.read(key, tmp_path / "copy", limit=100)
    assert (tmp_path / "copy").read_bytes() == CONTENT[:100]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(CONTENT, {"content-type": "text/html"}, id="another type"),
        pytest.param(CONTENT[:-1], {}, id="too short"),
        pytest.param(CONTENT + b"x", {}, id="too long"),
        pytest.param(CONTENT * 50, {}, id="far too long"),
        pytest.param(b"x" * len(CONTENT), {}, id="another content"),
        pytest.param(b"", {}, id="nothing"),
    ],
)
async def test_anything_else_is_refused_and_leaves_nothing(place: Place, body: bytes, headers: dict[str, str]) -> None:
    key = new_key()
    request = await place.blobs.sign_upload(key, stat_of(CONTENT), place.soon())
    assert 400 <= (await place.client.do(request, body, headers=headers)).status < 500
    assert await place.blobs.stat(key) is None
    assert (await place.client.do(request, CONTENT)).status in {200, 201}


async def test_a_body_without_a_length_is_refused(place: Place) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield CONTENT

    key = new_key()
    request = await place.blobs.sign_upload(key, stat_of(CONTENT), place.soon())
    assert 400 <= (await place.client.do(request, endless())).status < 500
    assert await place.blobs.stat(key) is None


async def test_an_address_is_good_for_one_upload(place: Place) -> None:
    key = await uploaded(place)
    again = await place.blobs.sign_upload(key, stat_of(CONTENT), place.soon())
    assert (await place.client.do(again, CONTENT)).status == 412
    other = await place.blobs.sign_upload(key, stat_of(CONTENT[::-1]), place.soon())
    assert (await place.client.do(other, CONTENT[::-1])).status == 412
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_an_address_is_good_for_what_it_was_signed_for_only(place: Place) -> None:
    key, other = await uploaded(place), await uploaded(place, CONTENT[::-1])
    reading = await download(place, key)
    writing = await place.blobs.sign_upload(new_key(), stat_of(CONTENT), place.soon())
    attempts = [
        await place.client.do(reading, CONTENT, method="PUT"),
        await place.client.do(reading, method="DELETE"),
        await place.client.do(reading, CONTENT, method="POST"),
        await place.client.do(writing, method="GET"),
        await place.client.do(reading, url=reading.url.replace(key, other)),
        await place.client.do(reading, url=reading.url.replace(key, key + ".thumb")),
        await place.client.do(reading, url=reading.url.partition("?")[0]),
    ]
    assert [reply.status for reply in attempts if not 400 <= reply.status < 500] == []
    assert all(CONTENT not in reply.body and CONTENT[::-1] not in reply.body for reply in attempts)
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_no_part_of_an_address_can_be_changed(place: Place) -> None:
    key = await uploaded(place)
    for request in (
        await download(place, key, "cat.png"),
        await place.blobs.sign_upload(new_key(), stat_of(CONTENT), place.soon()),
    ):
        names = [name for name, _ in parse_qsl(urlsplit(request.url).query)]
        for name in names:
            body = CONTENT if request.method == "PUT" else None
            reply = await place.client.do(request, body, url=changed(request.url, name, "1"))
            assert 400 <= reply.status < 500, name


async def test_an_expired_address_is_good_for_nothing(place: Place) -> None:
    key, past = await uploaded(place), place.clock.wall_ms() - 1000
    old = await place.blobs.sign_download(key, past, "", "image/png", inline=False)
    assert (await place.client.do(old)).status == 403
    if place.kind == "folder":  # S3's cannot even be signed
        upload = await place.blobs.sign_upload(new_key(), stat_of(CONTENT), past)
        assert (await place.client.do(upload, CONTENT)).status == 403


async def test_an_upload_that_breaks_off_leaves_no_object(place: Place) -> None:
    key = new_key()
    request = await place.blobs.sign_upload(key, stat_of(CONTENT), place.soon())
    parts = place.client.url(request.url)
    reader, writer = await asyncio.open_connection(parts.host, parts.port)
    head = f"PUT {parts.raw_path_qs} HTTP/1.1\r\nhost: {parts.host}:{parts.port}\r\ncontent-length: {len(CONTENT)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    writer.write(head.encode() + b"\r\n" + CONTENT[:5000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await reader.read()
    assert await place.blobs.stat(key) is None
    assert (await place.client.do(request, CONTENT)).status in {200, 201}
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_an_empty_object_is_an_object(place: Place) -> None:
    key = await uploaded(place, b"")
    assert await place.blobs.stat(key) == stat_of(b"")
    reply = await place.client.do(await download(place, key))
    assert (reply.status, reply.body) == (200, b"")


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=10230-99999", 10230, None)],
)
async def test_a_range_is_answered_alone(place: Place, asked: str, start: int, end: int | None) -> None:
    key = await uploaded(place)
    reply = await place.client.do(await download(place, key), headers={"range": asked})
    assert (reply.status, reply.body) == (206, CONTENT[start:end])
    first = start % len(CONTENT)
    assert reply.headers["content-range"] == f"bytes {first}-{first + len(reply.body) - 1}/{len(CONTENT)}"


async def test_a_range_behind_the_end_is_refused(place: Place) -> None:
    key = await uploaded(place)
    assert (await place.client.do(await download(place, key), headers={"range": "bytes=10240-"})).status == 416


async def test_a_download_goes_on_with_its_etag(place: Place) -> None:
    key = await uploaded(place)
    request = await download(place, key)
    etag = (await place.client.do(request)).headers["etag"]
    assert (await place.client.do(request, headers={"if-none-match": etag})).status == 304
    rest = await place.client.do(request, headers={"range": "bytes=10000-", "if-range": etag})
    assert (rest.status, rest.body) == (206, CONTENT[10000:])


async def test_the_address_of_a_download_is_the_same_for_the_same(place: Place) -> None:
    key, end = new_key(), place.soon()
    first = await place.blobs.sign_download(key, end, "a", "image/png", inline=True)
    assert await place.blobs.sign_download(key, end, "a", "image/png", inline=True) == first
    assert await place.blobs.sign_download(key, end, "a", "image/png", inline=False) != first


async def test_a_download_lives_for_days(place: Place) -> None:
    key = await uploaded(place)
    end = place.clock.wall_ms() + WEEK_MS - 60_000
    request = await place.blobs.sign_download(key, end, "", "image/png", inline=True)
    assert (await place.client.do(request)).status == 200


async def test_the_answer_has_our_type_name_and_time(place: Place) -> None:
    key = await uploaded(place, CONTENT, "text/html")
    reply = await place.client.do(await download(place, key, "Ferien & Käse.png"))
    assert reply.headers["content-type"] == "image/png"
    expected = "attachment; filename=\"Ferien & K_se.png\"; filename*=UTF-8''Ferien%20%26%20K%C3%A4se.png"
    assert reply.headers["content-disposition"] == expected
    assert "max-age=" in reply.headers["cache-control"]
    inline = await place.client.do(await download(place, key, inline=True))
    assert inline.headers["content-disposition"] == "inline"


@pytest.mark.parametrize("name", [*HOSTILE, "../../etc/passwd", 'a"; x="b', "a\r\nset-cookie: b", "C:\\con.txt", "."])
async def test_no_name_gets_out_of_its_header(place: Place, name: str) -> None:
    key = await uploaded(place)
    reply = await place.client.do(await download(place, key, name))
    assert (reply.status, reply.body) == (200, CONTENT)
    disposition = reply.headers["content-disposition"]
    assert disposition.isascii()
    assert disposition.isprintable()
    assert "/" not in disposition.partition(";")[2].replace("*=UTF-8''", "")
    assert disposition.count('"') in {0, 2}
    assert "set-cookie" not in reply.headers


# --- parts ------------------------------------------------------------------------------------------------------------

LARGE = hashlib.sha256(b"large").digest() * (PART // 32) + CONTENT


async def test_parts_are_joined_in_order(place: Place, tmp_path: Path) -> None:
    key, stat = new_key(), stat_of(LARGE, "video/mp4")
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    assert (upload.part_size, len(upload.requests)) == (PART, 2)
    for number in (1, 0, 1):
        body = LARGE[number * PART : (number + 1) * PART]
        assert (await place.client.do(upload.requests[number], body)).status in {200, 201}
        assert await place.blobs.stat(key) is None
    await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert await place.blobs.stat(key) == stat
    await place.blobs.complete_parts(key, stat, upload.upload_id)
    await place.blobs.read(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE


async def test_whoever_completes_it_at_the_same_time_finds_the_whole(place: Place, tmp_path: Path) -> None:
    key, stat = new_key(), stat_of(LARGE)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    for number, request in enumerate(upload.requests):
        await place.client.do(request, LARGE[number * PART : (number + 1) * PART])
    ended = await asyncio.gather(
        *(place.blobs.complete_parts(key, stat, upload.upload_id) for _ in range(4)), return_exceptions=True
    )
    assert None in ended
    assert [each for each in ended if not (each is None or isinstance(each, CooeeError))] == []
    assert await place.blobs.stat(key) == stat
    await place.blobs.read(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE


async def test_parts_that_lack_can_be_sent_later(place: Place) -> None:
    key, stat = new_key(), stat_of(LARGE)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    await place.client.do(upload.requests[1], LARGE[PART:])
    with pytest.raises(CooeeError) as refused:
        await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert refused.value.code is ErrorCode.CONFLICT
    await place.client.do(upload.requests[0], LARGE[:PART])
    await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert await place.blobs.stat(key) == stat


async def test_a_whole_with_another_hash_is_thrown_away(place: Place) -> None:
    key, stat = new_key(), stat_of(LARGE)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    await place.client.do(upload.requests[0], LARGE[:PART])
    await place.client.do(upload.requests[1], LARGE[PART:][::-1])
    with pytest.raises(CooeeError) as refused:
        await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert refused.value.code is ErrorCode.BAD_FRAME
    assert await place.blobs.stat(key) is None
    with pytest.raises(CooeeError) as gone:
        await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert gone.value.code is ErrorCode.NOT_FOUND


async def test_a_part_has_its_size(place: Place) -> None:
    key, stat = new_key(), stat_of(LARGE)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    for body in (LARGE[PART:] + b"x", LARGE[PART:-1], b""):
        assert 400 <= (await place.client.do(upload.requests[1], body)).status < 500
    with pytest.raises(CooeeError):
        await place.blobs.complete_parts(key, stat, upload.upload_id)


@pytest.mark.parametrize("upload_id", ["", "nothing", "../../x", "5242880-" + "0" * 32, "a\nb", "x" * 500])
async def test_an_upload_that_is_not_there_is_not_joined(place: Place, upload_id: str) -> None:
    with pytest.raises(CooeeError) as refused:
        await place.blobs.complete_parts(new_key(), stat_of(LARGE), upload_id)
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_deleted_upload_takes_no_more_parts(place: Place) -> None:
    key, stat = new_key(), stat_of(LARGE)
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    await place.client.do(upload.requests[0], LARGE[:PART])
    await place.blobs.delete(key)
    assert (await place.client.do(upload.requests[1], LARGE[PART:])).status == 404
    with pytest.raises(CooeeError):
        await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert await place.blobs.stat(key) is None


async def test_an_upload_that_is_asked_for_again_takes_its_room_once(place: Place) -> None:
    key, stat = new_key(), stat_of(LARGE)
    former = await place.blobs.sign_parts(key, stat, place.soon())
    assert (await place.client.do(former.requests[0], LARGE[:PART])).status in {200, 201}
    upload = await place.blobs.sign_parts(key, stat, place.soon())
    if upload.upload_id != former.upload_id:  # ended, with what came of it
        assert (await place.client.do(former.requests[1], LARGE[PART:])).status == 404
        await place.client.do(upload.requests[0], LARGE[:PART])
    await place.client.do(upload.requests[1], LARGE[PART:])
    await place.blobs.complete_parts(key, stat, upload.upload_id)
    assert await place.blobs.stat(key) == stat


# --- the server's own side --------------------------------------------------------------------------------------------


async def test_files_are_written_and_replaced(place: Place, tmp_path: Path) -> None:
    key, file = new_key() + ".thumb", tmp_path / "thumb"
    for content in (b"first", b"another one"):
        file.write_bytes(content)
        await place.blobs.write(key, file, stat_of(content, "image/webp"))
        assert await place.blobs.stat(key) == stat_of(content, "image/webp")
        assert (await place.client.do(await download(place, key))).body == content


async def test_a_file_that_is_something_else_is_not_written(place: Place, tmp_path: Path) -> None:
    key, file = new_key() + ".thumb", tmp_path / "thumb"
    file.write_bytes(b"this")
    with pytest.raises(CooeeError) as refused:
        await place.blobs.write(key, file, stat_of(b"that"))
    assert refused.value.code is ErrorCode.BAD_FRAME
    assert await place.blobs.stat(key) is None


async def test_what_is_deleted_is_gone(place: Place, tmp_path: Path) -> None:
    key = await uploaded(place)
    request = await download(place, key)
    await place.blobs.delete(key)
    await place.blobs.delete(key)
    assert await place.blobs.stat(key) is None
    assert (await place.client.do(request)).status == 404
    with pytest.raises(CooeeError) as refused:
        await place.blobs.read(key, tmp_path / "copy")
    assert refused.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("key", ["", "short", "../../../../etc/passwd", "a" * 65, "a" * 30 + "/b", "a" * 30 + "\n"])
async def test_what_is_no_key_goes_nowhere(place: Place, key: str, tmp_path: Path) -> None:
    for call in (
        place.blobs.sign_upload(key, stat_of(CONTENT), place.soon()),
        place.blobs.sign_parts(key, stat_of(LARGE), place.soon()),
        place.blobs.complete_parts(key, stat_of(LARGE), "x"),
        place.blobs.sign_download(key, place.soon(), "", "image/png", inline=False),
        place.blobs.stat(key),
        place.blobs.read(key, tmp_path / "copy"),
        place.blobs.delete(key),
    ):
        with pytest.raises(ValueError, match="not a key"):
            await call


@pytest.mark.parametrize("content_type", ["", "text", "text/html\r\nx: y", "text/html; charset=utf-8", "TEXT/HTML"])
async def test_what_is_no_type_is_not_signed(place: Place, content_type: str) -> None:
    with pytest.raises(ValueError, match="content type"):
        await place.blobs.sign_upload(new_key(), stat_of(CONTENT, content_type), place.soon())
    with pytest.raises(ValueError, match="content type"):
        await place.blobs.sign_download(new_key(), place.soon(), "", content_type, inline=False)
