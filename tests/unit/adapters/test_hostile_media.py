"""Whatever a file is, looking at it takes bounded memory and time, asks nobody for anything, and ends in an answer."""

import ctypes
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cooee.adapters.inspect.exchange import Answer, Order, decode_answer, encode
from cooee.adapters.inspect.process import COMMAND
from cooee.adapters.inspect.programs import find_programs
from cooee.domain.media_settings import MIB
from cooee.ports.media_inspector import Unseen
from tests.fakes import hostile_files as files

MEMORY = 512 * MIB
SECONDS = 30.0
CONFINED = """
import os, socket, sys
from cooee.adapters.inspect.confinement import confine
confine(sys.argv[1], (), 1 << 30, 5)
"""
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
sys.stderr.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
"""Starts a program and says what it took. It is small itself: a process is counted with what its parent had."""

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")

needs_landlock = pytest.mark.skipif(
    ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)) < 1,
    reason="this kernel has no Landlock",
)

PICTURES: dict[str, tuple[Callable[[], bytes], str, Unseen | None]] = {
    "bomb": (lambda: files.png(20_000, 20_000, colour=0), "image/png", Unseen.SIZE),
    "bomb that seems to fit": (lambda: files.png(11_500, 11_500), "image/png", Unseen.SIZE),
    "bomb in a comment": (
        lambda: files.png(8, 8, files.chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 80_000_000))),
        "image/png",
        Unseen.BROKEN,
    ),
    "truncated": (lambda: files.picture("JPEG")[:900], "image/jpeg", Unseen.BROKEN),
    "huge by its header": (lambda: files.huge_jpeg(20_000, progressive=False), "image/jpeg", None),
    "huge and progressive": (lambda: files.huge_jpeg(65_000, progressive=True), "image/jpeg", Unseen.BROKEN),
    "metadata without end": (files.exif_bomb, "image/jpeg", None),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'>" + files.SCRIPT, "image/svg+xml", Unseen.FORMAT),
    "svg as png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'>" + files.SCRIPT, "image/png", Unseen.FORMAT),
    "html as jpeg": (lambda: b"<!doctype html>" + files.SCRIPT, "image/jpeg", Unseen.FORMAT),
    "gif and script": (lambda: b"GIF89a/*" + b"\0" * 64 + b"*/=1;alert(1)", "image/gif", Unseen.BROKEN),
    "gif with 10,000 frames": (lambda: files.gif(10_000), "image/gif", None),
    "zip as docx": (
        files.zipped,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Unseen.FORMAT,
    ),
    "corrupt webp": (
        lambda: files.picture("WEBP")[:40] + bytes(range(256)) + files.picture("WEBP")[296:],
        "image/webp",
        Unseen.BROKEN,
    ),
    "corrupt avif": (lambda: files.picture("AVIF")[:200] + b"\xff" * 400, "image/avif", Unseen.BROKEN),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n", "image/png", Unseen.FORMAT),
    "nothing": (lambda: b"", "image/png", Unseen.BROKEN),
    "nothing but a beginning": (lambda: b"\x89PNG\r\n\x1a\n", "image/png", Unseen.BROKEN),
    "tiff": (lambda: files.picture("TIFF"), "image/png", Unseen.FORMAT),
}


def look(path: Path, content_type: str, seconds: float = SECONDS, memory: int = MEMORY) -> tuple[Answer, int]:
    """Look at a file as the server does; also return the bytes of memory of the largest process."""
    order = Order(str(path), content_type, 480, memory, seconds, find_programs())
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURE, *COMMAND], input=encode(order), capture_output=True, check=True
    )
    return decode_answer(done.stdout), int(done.stderr) * 1024


class Listener:
    """A server that counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)  # the socket's own
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a.ts"

    def visited(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


@pytest.mark.parametrize("name", PICTURES)
def test_a_hostile_picture_takes_bounded_memory_and_ends_in_an_answer(name: str, tmp_path: Path) -> None:
    make, content_type, unseen = PICTURES[name]
    path = tmp_path / "file"
    path.write_bytes(make())
    answer, memory = look(path, content_type)
    assert answer.unseen is unseen
    assert answer.thumbnail is (unseen is None)
    assert memory < MEMORY
    if answer.thumbnail:
        shown = path.with_name("file.thumb").read_bytes()
        assert shown.startswith(b"RIFF")
        assert files.SCRIPT not in shown
        assert b"EXIF" not in shown


def test_a_bomb_would_take_more_than_is_allowed(tmp_path: Path) -> None:
    """The bound is what holds: with less memory the same harmless picture is refused, and no more is taken."""
    path = tmp_path / "file"
    path.write_bytes(files.png(5000, 5000))
    assert look(path, "image/png")[0].thumbnail
    answer, memory = look(path, "image/png", memory=112 * MIB)
    assert (answer.width, answer.height, answer.unseen) == (5000, 5000, Unseen.SIZE)
    assert memory < 112 * MIB


@needs_ffmpeg
@pytest.mark.parametrize("content_type", ["video/mp4", "video/webm", "audio/mpeg", "audio/ogg"])
def test_a_playlist_is_no_video_and_leads_nowhere(content_type: str, tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "file"
    path.write_bytes(files.playlist(listener.url))
    answer, _ = look(path, content_type)
    assert answer.unseen is Unseen.FORMAT
    assert not listener.visited()


@needs_ffmpeg
@pytest.mark.parametrize("head", [b"\0\0\0\x18ftypmp42", b"\x1a\x45\xdf\xa3", b"OggS", b"ID3\x04\0\0\0\0\0\0", b"fLaC"])
def test_a_playlist_behind_a_films_first_bytes_leads_nowhere(head: bytes, tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "file"
    path.write_bytes(head + b"\n" + files.playlist(listener.url))
    for content_type in ("video/mp4", "video/webm", "audio/ogg", "audio/mpeg", "audio/flac"):
        answer, _ = look(path, content_type)
        assert answer.unseen in {Unseen.BROKEN, Unseen.FORMAT}
    assert not listener.visited()


@needs_ffmpeg
@pytest.mark.parametrize("where", ["http", "file"])
def test_a_film_that_lies_elsewhere_is_not_fetched(where: str, tmp_path: Path, listener: Listener) -> None:
    secret = tmp_path / "secret.mp4"
    files.film(secret)
    url = listener.url if where == "http" else f"file://{secret}"
    path = tmp_path / "file"
    path.write_bytes(files.refer(secret.read_bytes(), url.encode()))
    answer, memory = look(path, "video/mp4")
    assert answer.unseen is Unseen.BROKEN
    assert memory < MEMORY
    assert not listener.visited()


@needs_ffmpeg
def test_a_sound_is_as_long_as_it_is_not_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.sound(tmp_path / "a.wav", "-ar", "8000", seconds=2)
    sound = bytearray((tmp_path / "a.wav").read_bytes())
    at = sound.index(b"data") + 4
    sound[at : at + 4] = b"\xf0\xff\xff\x7f"
    sound[4:8] = b"\xf0\xff\xff\x7f"
    path.write_bytes(sound)
    answer, _ = look(path, "audio/wav")
    assert answer.duration_ms == 2000
    assert answer.waveform is not None


@needs_ffmpeg
def test_a_very_long_sound_takes_bounded_memory_and_its_time(tmp_path: Path) -> None:
    path = tmp_path / "file.flac"
    files.sound(path, "-ar", "8000", seconds=3 * 3600, source="sine=frequency=440:sample_rate=8000")
    answer, memory = look(path, "audio/flac", seconds=1.0)
    assert answer.unseen is Unseen.TIME
    assert memory < MEMORY


@needs_ffmpeg
@pytest.mark.parametrize("cut", [40, 2000, 20_000])
def test_a_truncated_film_is_broken(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.film(tmp_path / "a.mp4")
    path.write_bytes((tmp_path / "a.mp4").read_bytes()[:cut])
    assert look(path, "video/mp4")[0].unseen is Unseen.BROKEN


@needs_ffmpeg
def test_a_files_name_is_no_argument_and_no_protocol(tmp_path: Path) -> None:
    files.film(tmp_path / "a.mp4")
    for name in ("-i", "concat:a|b", "%d.mp4", "http:x", "a\nb", "-f lavfi"):
        path = tmp_path / name
        path.write_bytes((tmp_path / "a.mp4").read_bytes())
        assert look(path, "video/mp4")[0].thumbnail


def confined(folder: Path, program: str, *arguments: str) -> int:
    """Run a program after it has been confined, and return its exit code."""
    command = [sys.executable, "-I", "-c", CONFINED + program, str(folder), *arguments]
    return subprocess.run(command, check=False).returncode


def test_who_looks_reaches_no_network_where_the_system_allows_that(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-Urn", "true"], check=False).returncode != 0:
        pytest.skip("this system grants no namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert confined(tmp_path, "sys.exit(socket.socket().connect_ex(('127.0.0.1', int(sys.argv[2]))))", port) != 0


@needs_landlock
def test_who_looks_reads_and_writes_nothing_but_its_folder(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "own").write_bytes(b"own")
    (elsewhere / "secret").write_bytes(b"secret")
    attempt = """
def fails(deed, *arguments):
    try:
        deed(*arguments)
    except OSError:
        return True
    return False
secret = sys.argv[2]
open(sys.argv[1] + "/own").read()
open(sys.argv[1] + "/new", "w").write("new")
open(os.devnull, "w").close()
deeds = [(open, secret), (open, secret, "w"), (os.truncate, secret, 0), (os.unlink, secret), (os.listdir, "/etc")]
deeds += [(open, secret + ".new", "w"), (os.symlink, "a", sys.argv[1] + "/link"), (os.kill, os.getppid(), 0)]
sys.exit(sum(1 << i for i, deed in enumerate(deeds) if not fails(*deed)))
"""
    code = confined(folder, attempt, str(elsewhere / "secret"))
    assert code & 0b0111_1011 == 0  # an old kernel lets truncate and signal
    assert (elsewhere / "secret").read_bytes() == b"secret"
    assert (folder / "new").read_bytes() == b"new"


@needs_landlock
@needs_ffmpeg
def test_films_are_looked_at_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    files.film(path)
    assert look(path, "video/mp4")[0].thumbnail
