"""What only the folder of media does: uploads that go on, a full disk, what the server says beside the bytes."""

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.adapters.files.blobs import FolderBlobs, examine_folder
from cooee.adapters.files.folder import STALE_S, Folder, load_secret
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.ports.blobs import SignedRequest
from tests.contract.blob_stores import PART, Place, folder_place, folder_settings, new_key, stat_of
from tests.fakes.clock import ManualClock

CONTENT = os.urandom(3_000_000)
TOTAL = len(CONTENT)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Yield a folder behind a port."""
    async with folder_place(tmp_path, ManualClock()) as made:
        yield made


async def upload_of(place: Place, content: bytes = CONTENT) -> tuple[str, SignedRequest]:
    """Sign an upload; return its key, too."""
    key = new_key()
    return key, await place.blobs.sign_upload(key, stat_of(content), place.soon())


def files(folder: Path) -> list[str]:
    """Return all files of a folder of media."""
    return sorted(path.name for path in (folder / "media").rglob("*") if path.is_file())


def not_of(path: Path, folder: Path) -> bool:
    """Return True, and fail for this folder."""
    assert path != folder, "its cost would follow how many files others upload"
    return True


async def ask(place: Place, request: SignedRequest) -> tuple[int, str | None]:
    """Ask how much is there."""
    reply = await place.client.do(request, b"", headers={"content-range": f"bytes */{TOTAL}"})
    return reply.status, reply.headers.get("range")


async def send(place: Place, request: SignedRequest, start: int, end: int) -> tuple[int, str | None]:
    """Send a piece."""
    span = {"content-range": f"bytes {start}-{end - 1}/{TOTAL}"}
    reply = await place.client.do(request, CONTENT[start:end], headers=span)
    return reply.status, reply.headers.get("range")


def test_what_others_upload_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path / "media", 0)
    folder.prepare(0.0)
    key, incoming = new_key(), folder.incoming
    first = folder.begin_parts(key, PART)
    folder.part(key, first, 1).write_bytes(b"x")
    for look in ("iterdir", "glob", "rglob"):
        plain = getattr(Path, look)
        monkeypatch.setattr(Path, look, lambda path, *args, plain=plain: not_of(path, incoming) and plain(path, *args))
    assert folder.begin_parts(key, PART) == first
    assert folder.begin_parts(key, PART + 1) != first, "parts of another size go"
    with pytest.raises(CooeeError):
        folder.part(key, first, 1)
    folder.delete(key)
    monkeypatch.undo()
    assert list(incoming.iterdir()) == []


# --- going on ---------------------------------------------------------------------------------------------------------


async def test_an_upload_in_pieces_goes_on_behind_what_is_there(place: Place) -> None:
    key, request = await upload_of(place)
    assert await ask(place, request) == (308, None)
    assert await send(place, request, 0, 1000) == (308, "bytes=0-999")
    assert await ask(place, request) == (308, "bytes=0-999")
    assert await send(place, request, 5000, 6000) == (409, "bytes=0-999")
    assert await send(place, request, 1000, 2_000_000) == (308, "bytes=0-1999999")
    assert await place.blobs.stat(key) is None
    assert await send(place, request, 2_000_000, TOTAL) == (201, None)
    assert await ask(place, request) == (201, None)
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_it_can_begin_again(place: Place) -> None:
    key, request = await upload_of(place)
    await send(place, request, 0, 1000)
    assert (await place.client.do(request, CONTENT)).status == 201
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_it_goes_on_after_a_broken_connection(place: Place) -> None:
    key, request = await upload_of(place)
    await broken_off(place, request, CONTENT[:2_500_000])
    status = 409
    while status == 409:  # the rest of what came may still be on its way to the disk
        _, told = await ask(place, request)
        there = int(str(told).rpartition("-")[2]) + 1
        assert 0 < there <= 2_500_000
        status, _ = await send(place, request, there, TOTAL)
    assert status == 201
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def broken_off(place: Place, request: SignedRequest, beginning: bytes) -> None:
    """Send a beginning, and leave once the server has it all."""
    url = place.client.url(request.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = f"PUT {url.raw_path_qs} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: {TOTAL}\r\n\r\n"
    writer.write(head.encode() + beginning)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await begun(place, request)


async def begun(place: Place, request: SignedRequest) -> None:
    """Return once something of an upload is on the disk."""
    while (await ask(place, request))[1] is None:  # noqa: ASYNC110  # only the disk knows
        await asyncio.sleep(0.01)


async def test_it_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    clock = ManualClock()
    async with folder_place(tmp_path, clock) as before:
        key, request = await upload_of(before)
        await send(before, request, 0, 2_000_000)
    async with folder_place(tmp_path, clock) as after:
        assert await ask(after, request) == (308, "bytes=0-1999999")
        assert await send(after, request, 2_000_000, TOTAL) == (201, None)
        assert await after.blobs.stat(key) == stat_of(CONTENT)


async def test_a_later_request_takes_over_from_one_that_hangs(place: Place) -> None:
    key, request = await upload_of(place)
    url = place.client.url(request.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"PUT {url.raw_path_qs} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: {TOTAL}\r\n\r\n"
    writer.write(head.encode() + CONTENT[:2_000_000])
    await writer.drain()
    await begun(place, request)
    assert (await place.client.do(request, CONTENT)).status == 201
    writer.write(CONTENT[2_000_000:])
    assert (await reader.readline()).split()[1] == b"409"
    writer.close()
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_wrong_pieces_are_refused(place: Place) -> None:
    key, request = await upload_of(place)
    for told in (f"bytes 0-9/{TOTAL + 1}", f"bytes 0-{TOTAL}/{TOTAL}", "bytes 9-0/10", "bytes 0-9/*", "lines 0-9/10"):
        assert (await place.client.do(request, CONTENT[:10], headers={"content-range": told})).status == 400
    wrong_size = {"content-range": f"bytes 0-9/{TOTAL}"}
    assert (await place.client.do(request, CONTENT[:11], headers=wrong_size)).status == 413
    assert (await place.client.do(request, CONTENT[:9], headers=wrong_size)).status == 400
    assert await ask(place, request) == (308, None)
    assert await place.blobs.stat(key) is None


async def test_another_content_in_the_last_piece_leaves_nothing(place: Place, tmp_path: Path) -> None:
    key, request = await upload_of(place)
    await send(place, request, 0, TOTAL - 10)
    span = {"content-range": f"bytes {TOTAL - 10}-{TOTAL - 1}/{TOTAL}"}
    reply = await place.client.do(request, bytes(10), headers=span)
    assert (reply.status, b"SHA-256" in reply.body) == (400, True)
    assert files(tmp_path) == []
    assert await place.blobs.stat(key) is None


async def test_what_is_deleted_meanwhile_is_not_finished(place: Place, tmp_path: Path) -> None:
    key, request = await upload_of(place)
    await send(place, request, 0, 1000)
    await place.blobs.delete(key)
    assert files(tmp_path) == []
    assert await ask(place, request) == (308, None)


# --- the disk ---------------------------------------------------------------------------------------------------------


async def test_a_disk_without_room_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    async with folder_place(tmp_path, ManualClock(), keep_free=1 << 60) as place:
        key, request = await upload_of(place)
        reply = await place.client.do(request, CONTENT)
        assert (reply.status, reply.headers["retry-after"]) == (507, "60")
        assert b'"unavailable"' in reply.body
        file = tmp_path / "thumb"
        file.write_bytes(b"x")
        with pytest.raises(CooeeError) as refused:
            await place.blobs.write(key, file, stat_of(b"x"))
        assert (refused.value.code, refused.value.http_status) == (ErrorCode.UNAVAILABLE, 507)
        assert files(tmp_path) == []


async def test_a_disk_that_fills_up_meanwhile_keeps_nothing(tmp_path: Path) -> None:
    """The folder lies where no file can have a byte: /dev/full stands in for the growing file."""
    async with folder_place(tmp_path, ManualClock()) as place:
        key, request = await upload_of(place)
        partial = tmp_path / "media" / "incoming" / f"{key}.partial"
        partial.symlink_to("/dev/full")
        assert (await place.client.do(request, CONTENT)).status == 507
        assert files(tmp_path) == []
        assert not partial.is_symlink()
        assert (await place.client.do(request, CONTENT)).status == 201
        assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_an_upload_that_leaves_too_little_to_others_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write meanwhile: after the first look there is less than must stay free."""
    async with folder_place(tmp_path, ManualClock(), keep_free=1000) as place:
        free = iter([10 * TOTAL, 10 * TOTAL, 1000])
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, next(free, 1000)))
        _, request = await upload_of(place)
        assert (await place.client.do(request, CONTENT)).status == 507
        assert files(tmp_path) == []


async def test_what_was_left_behind_long_ago_is_swept_at_the_start(tmp_path: Path) -> None:
    clock = ManualClock()
    async with folder_place(tmp_path, clock) as place:
        kept, request = await upload_of(place)
        await send(place, request, 0, 1000)
        large = await place.blobs.sign_parts(new_key(), stat_of(CONTENT), place.soon())
        await place.client.do(large.requests[0], CONTENT)
    now = clock.wall_ms() / 1000
    incoming = tmp_path / "media" / "incoming"
    for path in incoming.rglob("*"):
        os.utime(path, (now, now - (0 if path.name.startswith(kept) else STALE_S + 1)))
    assert Folder(tmp_path / "media", 0).prepare(now) == 1
    assert files(tmp_path) == [f"{kept}.partial"]
    assert Folder(tmp_path / "media", 0).prepare(now + STALE_S + 1) == 1
    assert files(tmp_path) == []


async def test_half_an_object_is_none(place: Place, tmp_path: Path) -> None:
    """Whatever the power left behind: what says what it is without the bytes, or bytes without it, or fewer bytes."""
    for lost in ("{key}", "{key}.stat"):
        key, request = await upload_of(place)
        await place.client.do(request, CONTENT)
        (tmp_path / "media" / key[:2] / lost.format(key=key)).unlink()
        assert await place.blobs.stat(key) is None
        assert (await place.client.do(request, CONTENT)).status == 201
        os.truncate(tmp_path / "media" / key[:2] / key, 1000)
        assert await place.blobs.stat(key) is None
        download = await place.blobs.sign_download(key, place.soon(), "", "image/png", inline=True)
        assert (await place.client.do(download)).status == 404


async def test_folder_and_secret_are_this_users_alone(place: Place, tmp_path: Path) -> None:
    await place.client.do((await upload_of(place))[1], CONTENT)
    assert stat.S_IMODE((tmp_path / "media.key").stat().st_mode) == 0o600
    folders = [tmp_path / "media", *(path for path in (tmp_path / "media").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_the_secret_stays_and_a_spoilt_one_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "media.key"
    secret = load_secret(path)
    assert len(secret) == 32
    assert load_secret(path) == secret
    path.write_text("ab")
    assert load_secret(path) not in (secret, b"\xab")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_another_servers_addresses_are_good_for_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = FolderBlobs(folder_settings(tmp_path / "other"), place.clock)
    request = await other.sign_upload(new_key(), stat_of(CONTENT), place.soon())
    assert (await place.client.do(request, CONTENT)).status == 403
    await other.aclose()


def test_the_folder_is_examined(tmp_path: Path) -> None:
    folder, secret = tmp_path / "media", tmp_path / "media.key"
    assert examine_folder(folder, secret) == ""
    folder.write_text("no folder")
    assert "nothing can be written" in examine_folder(folder, secret)
    folder.unlink()
    folder.mkdir()
    assert examine_folder(folder, secret) == ""
    secret.touch(0o644)
    assert "chmod 0600" in examine_folder(folder, secret)
    assert files(tmp_path) == []


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_time_ends_an_address(place: Place) -> None:
    key, request = await upload_of(place)
    download = await place.blobs.sign_download(key, place.soon(), "", "image/png", inline=True)
    assert (await place.client.do(request, CONTENT)).status == 201
    assert (await place.client.do(download)).headers["cache-control"] == "public, max-age=300, immutable"
    assert isinstance(place.clock, ManualClock)
    place.clock.advance(299)
    assert (await place.client.do(download)).headers["cache-control"] == "public, max-age=1, immutable"
    place.clock.advance(1)
    assert (await place.client.do(download)).status == 403
    assert (await place.client.do(request, CONTENT)).status == 403


async def test_a_download_can_do_no_harm_in_a_browser(place: Place) -> None:
    key, request = await upload_of(place)
    await place.client.do(request, CONTENT)
    download = await place.blobs.sign_download(key, place.soon(), "x.html", "text/html", inline=False)
    headers = (await place.client.do(download)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["content-disposition"] == 'attachment; filename="x.html"'
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["content-type"] == "text/html"
    assert headers["accept-ranges"] == "bytes"


async def test_a_head_says_what_a_get_would_say(place: Place) -> None:
    key, request = await upload_of(place)
    await place.client.do(request, CONTENT)
    download = await place.blobs.sign_download(key, place.soon(), "a", "image/png", inline=True)
    head = await place.client.do(download, method="HEAD")
    whole = await place.client.do(download)
    assert (head.status, head.body, len(whole.body)) == (200, b"", TOTAL)
    same = {"content-length", "etag", "content-type", "content-disposition", "accept-ranges", "expires"}
    assert {name: head.headers[name] for name in same} == {name: whole.headers[name] for name in same}


async def test_a_range_of_something_else_is_all_of_it(place: Place) -> None:
    key, request = await upload_of(place)
    await place.client.do(request, CONTENT)
    download = await place.blobs.sign_download(key, place.soon(), "", "image/png", inline=True)
    for headers in ({"if-range": '"another"'}, {"if-range": "Tue, 24 Nov 2026 10:00:00 GMT"}):
        reply = await place.client.do(download, headers={"range": "bytes=0-9", **headers})
        assert (reply.status, len(reply.body)) == (200, TOTAL)
    many = await place.client.do(download, headers={"range": "bytes=0-1,5-6"})
    assert (many.status, len(many.body)) == (200, TOTAL)


async def test_pages_of_other_origins_are_kept_out_and_own_ones_may_see_what_they_need(place: Place) -> None:
    key, request = await upload_of(place)
    foreign = await place.client.do(request, CONTENT, headers={"origin": "https://evil.example"})
    assert foreign.status == 403
    own = {"origin": place.client.base}
    ask_first = {**own, "access-control-request-method": "PUT", "access-control-request-headers": "content-range"}
    preflight = await place.client.do(request, method="OPTIONS", headers=ask_first)
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "content-range" in preflight.headers["access-control-allow-headers"]
    reply = await place.client.do(request, CONTENT, headers=own)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (201, place.client.base)
    assert "Range" in reply.headers["access-control-expose-headers"]
    assert await place.blobs.stat(key) == stat_of(CONTENT)


async def test_what_it_does_not_have_is_refused(place: Place) -> None:
    _, request = await upload_of(place)
    assert (await place.client.do(request, method="DELETE")).status == 405
    assert (await place.client.do(request, url="/v1/blobs/")).status == 403
    assert (await place.client.do(request, url="/v1/blobs/../../etc/passwd?s=1")).status in {403, 404}
    many = "&".join(f"x{i}=1" for i in range(50))
    assert (await place.client.do(request, url=f"{request.url}&{many}")).status == 403
    compressed = await place.client.do(request, CONTENT, headers={"content-encoding": "gzip"})
    assert compressed.status == 400


async def test_a_part_says_whether_it_is_there(place: Place) -> None:
    stat_ = stat_of(CONTENT)
    upload = await place.blobs.sign_parts(new_key(), stat_, place.soon())
    assert len(CONTENT) < PART
    assert await ask(place, upload.requests[0]) == (308, None)
    assert (await send(place, upload.requests[0], 0, TOTAL))[0] == 400
    for _ in range(2):
        assert (await place.client.do(upload.requests[0], CONTENT)).status == 201
        assert (await ask(place, upload.requests[0]))[0] == 201
