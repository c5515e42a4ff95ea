"""The system's ffmpeg and ffprobe, told to read one local file in one format, and nothing else in the world."""

import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence

from cooee.adapters.inspect.exchange import Programs, Refused
from cooee.ports.media_inspector import Unseen

_CHUNK = 64 * 1024
_MAX_PIXELS = 40_000_000
_DEMUXERS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/3gpp": "mov",
    "audio/mp4": "mov",
    "audio/x-m4a": "mov",
    "audio/3gpp": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "audio/webm": "matroska",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
}
_DECODERS = (
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,h263,theora,mjpeg,"
    "aac,aac_latm,mp3,mp3float,opus,libopus,vorbis,flac,alac,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,"
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav"
)
"""What users' files are made of. Of some hundred decoders these are in a stranger's reach."""


def find_programs() -> Programs | None:
    """Return where ffmpeg and ffprobe lie; None when either is missing."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if ffmpeg is None or ffprobe is None:
        return None
    return Programs(os.path.realpath(ffmpeg), os.path.realpath(ffprobe))


def reading(path: str, content_type: str) -> list[str]:
    """Return the arguments that name the input: a file, by a whole path, in the one format that its type says.

    A playlist is no such format, so a file cannot name others; where a format could, that is switched off.

    Raises:
        Refused: ``format``, no demuxer goes with the type.
    """
    demuxer = _DEMUXERS.get(content_type)
    if demuxer is None:
        raise Refused(Unseen.FORMAT)
    limits = ["-protocol_whitelist", "file", "-format_whitelist", demuxer, "-codec_whitelist", _DECODERS]
    limits += ["-max_pixels", str(_MAX_PIXELS), "-threads", "1", "-max_streams", "32"]
    if demuxer == "mov":
        limits += ["-enable_drefs", "0", "-use_absolute_path", "0"]
    return [*limits, "-f", demuxer, "-i", f"file:{path}"]


def output(arguments: Sequence[str], deadline: float, most: int) -> bytes:
    """Run a program and return what it writes, at most ``most`` bytes.

    Raises:
        Refused: ``broken``, it failed or wrote more; ``time``, it was not done by the deadline (monotonic).
    """
    found = bytearray()
    for piece in pieces(arguments, deadline):
        found += piece
        if len(found) > most:
            raise Refused(Unseen.BROKEN)
    return bytes(found)


def pieces(arguments: Sequence[str], deadline: float) -> Iterator[bytes]:
    """Run a program and yield what it writes as it comes. It has no input and no environment, and is killed on leaving.

    Raises:
        Refused: as `output`.
    """
    with subprocess.Popen(  # noqa: S603  # a whole path from the system, and arguments of our own making
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"LC_ALL": "C"},
    ) as process:
        try:
            yield from _until_closed(process, deadline)
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Refused(Unseen.TIME) from None
        finally:
            process.kill()
    if process.returncode != 0:
        raise Refused(Unseen.BROKEN)


def _until_closed(process: subprocess.Popen[bytes], deadline: float) -> Iterator[bytes]:
    if process.stdout is None:
        return
    descriptor = process.stdout.fileno()
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise Refused(Unseen.TIME)
        piece = os.read(descriptor, _CHUNK)
        if not piece:
            return
        yield piece
