"""What is found out about plain files, and what becomes of the processes that look at them."""

import asyncio
import io
import os
import shutil
import signal
from pathlib import Path

import blurhash
import pytest
from PIL import ExifTags, Image
from structlog.testing import capture_logs

from cooee.adapters.inspect.exchange import Answer, encode
from cooee.adapters.inspect.media_inspector import QUEUE, ProcessInspector, _checked
from cooee.adapters.inspect.process import LookingProcess, OutOfTime
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.media_settings import MediaSettings
from cooee.ports.media_inspector import WAVEFORM_BYTES, Findings, Unseen
from tests.fakes import hostile_files as files

SETTINGS = MediaSettings(inspection_seconds=60)
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")


async def look(path: Path, content_type: str, settings: MediaSettings = SETTINGS) -> Findings:
    inspector = ProcessInspector(settings)
    found = await inspector.inspect(path, content_type)
    await inspector.aclose()
    assert inspector.process_ids == []
    return found


def shown(found: Findings) -> Image.Image:
    assert found.thumbnail is not None
    assert found.thumbnail_type == "image/webp"
    return Image.open(io.BytesIO(found.thumbnail.read_bytes()), formats=["WEBP"])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP"])
async def test_a_picture_gets_a_thumbnail_its_size_and_a_blurhash(form: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture(form, (1200, 800)))
    found = await look(path, f"image/{form.lower()}")
    assert (found.width, found.height, found.unseen) == (1200, 800, None)
    assert found.content_type == f"image/{form.lower()}"
    image = shown(found)
    assert image.size == (480, 320)
    red, _, blue = image.convert("RGB").getpixel((100, 160))  # type: ignore[misc]  # three bands
    assert red > 150
    assert blue < 60
    assert found.blurhash is not None
    row = blurhash.decode(found.blurhash, 4, 1)[0]
    assert row[0][0] > row[0][2]
    assert row[3][2] > row[3][0]


async def test_what_a_picture_is_decides_not_what_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture("PNG"))
    found = await look(path, "image/jpeg")
    assert (found.content_type, found.unseen) == ("image/png", None)


async def test_a_picture_is_shown_upright_and_without_its_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "a camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    path = tmp_path / "file"
    path.write_bytes(files.picture("JPEG", (600, 400), exif=exif, comment=b"my flat", icc_profile=b"profile" * 99))
    found = await look(path, "image/jpeg")
    assert (found.width, found.height) == (400, 600)
    image = shown(found)
    assert image.size == (320, 480)
    top = image.convert("RGB").getpixel((160, 100))
    assert isinstance(top, tuple)
    assert top[0] > 150  # the red half is above: turned to the right
    assert not image.getexif()
    assert not {"exif", "xmp", "icc_profile", "comment"} & image.info.keys()
    raw = (tmp_path / "file.thumb").read_bytes()
    assert b"camera" not in raw
    assert b"flat" not in raw


async def test_what_is_transparent_stays_so_and_grey_of_16_bits_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "file"
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(path, "PNG")
    image = shown(await look(path, "image/png"))
    pixel = image.convert("RGBA").getpixel((32, 32))
    assert isinstance(pixel, tuple)
    assert pixel[3] == 0
    Image.new("I;16", (64, 64), 32_768).save(path, "PNG")
    pixel = shown(await look(path, "image/png")).convert("RGB").getpixel((32, 32))
    assert isinstance(pixel, tuple)
    assert 120 < pixel[0] < 136


@needs_ffmpeg
@pytest.mark.parametrize(("suffix", "content_type"), [("mp4", "video/mp4"), ("webm", "video/webm")])
async def test_a_video_gets_a_poster_its_size_and_its_length(suffix: str, content_type: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    files.film(path)
    found = await look(path, content_type)
    assert (found.width, found.height, found.unseen) == (640, 360, None)
    assert found.duration_ms is not None
    assert 2900 < found.duration_ms < 3200
    assert found.blurhash is not None
    assert shown(found).size == (480, 270)


@needs_ffmpeg
async def test_a_short_video_shows_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    files.film(path, seconds=0.3)
    assert shown(await look(path, "video/mp4")).size == (480, 270)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [
        ("ogg", "audio/ogg"),
        ("webm", "audio/webm"),
        ("mp3", "audio/mpeg"),
        ("m4a", "audio/mp4"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
    ],
)
async def test_a_sound_gets_its_length_and_its_waveform(suffix: str, content_type: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    files.sound(path, "-af", "volume='if(lt(t,1.5),0.1,1)':eval=frame")
    found = await look(path, content_type)
    assert found.duration_ms is not None
    assert 2900 < found.duration_ms < 3200
    assert found.waveform is not None
    assert len(found.waveform) == WAVEFORM_BYTES
    assert 3 * max(found.waveform[:30]) < min(found.waveform[40:60])
    assert (found.thumbnail, found.unseen) == (None, None)


async def test_without_ffmpeg_a_video_has_no_poster_pictures_have_theirs_and_the_log_says_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    inspector = ProcessInspector(SETTINGS)
    film, picture = tmp_path / "film", tmp_path / "picture"
    film.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    picture.write_bytes(files.picture("PNG"))
    with capture_logs() as logs:
        for _ in range(2):
            assert (await inspector.inspect(film, "video/mp4")).unseen is Unseen.NO_PROGRAM
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert (await inspector.inspect(picture, "image/png")).thumbnail is not None
    assert inspector.counters.unseen == {Unseen.NO_PROGRAM: 2}
    assert inspector.counters.inspected == 3


async def _begun(inspector: ProcessInspector) -> int:
    while not inspector.process_ids:  # noqa: ASYNC110  # who inspects tells nobody when
        await asyncio.sleep(0.001)
    return inspector.process_ids[0]


async def _killed(inspector: ProcessInspector, times: int) -> None:
    seen: set[int] = set()
    while len(seen) < times:
        for pid in inspector.process_ids:
            if pid not in seen:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.001)


async def test_a_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture("PNG"))
    inspector = ProcessInspector(SETTINGS)
    found, _ = await asyncio.gather(inspector.inspect(path, "image/png"), _killed(inspector, 1))
    assert found.thumbnail is not None
    assert inspector.counters.replaced == 1
    found, _ = await asyncio.gather(inspector.inspect(path, "image/png"), _killed(inspector, 2))
    assert (found.thumbnail, found.unseen) == (None, Unseen.CRASHED)
    assert not path.with_name("file.thumb").exists()
    assert (await inspector.inspect(path, "image/png")).thumbnail is not None


async def test_who_takes_too_long_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture("PNG"))
    assert (await look(path, "image/png", MediaSettings(inspection_seconds=0.001))).unseen is Unseen.TIME
    process = LookingProcess(b"{}", 0.001)
    with pytest.raises(OutOfTime):
        process.run()
    assert process._process is not None
    assert process._process.returncode == -signal.SIGKILL


def test_who_is_killed_before_the_start_does_not_start() -> None:
    process = LookingProcess(b"{}", 60)
    process.kill()
    assert process.run() == b""
    assert process.pid is None


async def test_few_run_and_a_bounded_number_wait(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture("PNG"))
    inspector = ProcessInspector(SETTINGS)
    tasks = [asyncio.create_task(inspector.inspect(path, "image/png")) for _ in range(QUEUE + 1)]
    await _begun(inspector)
    with pytest.raises(CooeeError) as refused:
        await inspector.inspect(path, "image/png")
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert len(inspector.process_ids) == 1
    await inspector.aclose()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {getattr(outcome, "code", None) for outcome in outcomes} == {ErrorCode.UNAVAILABLE}
    assert inspector.process_ids == []
    with pytest.raises(CooeeError):
        await inspector.inspect(path, "image/png")


async def test_who_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.picture("PNG"))
    inspector = ProcessInspector(SETTINGS)
    looking = asyncio.create_task(inspector.inspect(path, "image/png"))
    pid = await _begun(inspector)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_answer_is_taken_for_a_strangers(tmp_path: Path) -> None:
    path, thumbnail = tmp_path / "file", tmp_path / "file.thumb"
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    said = encode(Answer("image/png", 8, 8, thumbnail=True))
    assert _checked(said, path).unseen is Unseen.BROKEN  # there is none
    thumbnail.symlink_to(secret)
    assert _checked(said, path).unseen is Unseen.BROKEN
    thumbnail.unlink()
    os.link(secret, thumbnail)
    assert _checked(said, path).unseen is Unseen.BROKEN
    thumbnail.unlink()
    thumbnail.write_bytes(b"RIFF")
    assert _checked(said, path).thumbnail
    for wrong in (b"", b"{", b'{"width":0}', b'{"blurhash":"<script>"}', b'{"content_type":"text/html;x"}', said * 2):
        assert _checked(wrong, path).unseen is Unseen.CRASHED
