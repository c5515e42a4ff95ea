"""Videos and sounds by ffmpeg: size, length, a poster, a waveform."""

import io
from typing import Annotated

import msgspec
from PIL import Image

from cooee.adapters.inspect.exchange import Answer, Order, Programs, Refused
from cooee.adapters.inspect.pictures import finish
from cooee.adapters.inspect.programs import output, pieces, reading
from cooee.adapters.inspect.waveform import Peaks
from cooee.ports.media_inspector import Unseen

_PROBE_BYTES = 256 * 1024
_ENTRIES = (
    "format=duration:stream=codec_type,width,height,duration:stream_disposition=attached_pic"
    ":stream_side_data=rotation:stream_tags=rotate"
)
_MAX_SIDE = 32_768
_MAX_DURATION_S = 30 * 24 * 3600
_POSTER_AT_S = 1.0
_RATE = 8000
_QUIET = ("-hide_banner", "-v", "error")

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MAX_DURATION_S)]


class _Disposition(msgspec.Struct, frozen=True):
    attached_pic: int = 0


class _Side(msgspec.Struct, frozen=True):
    rotation: float = 0


class _Tags(msgspec.Struct, frozen=True):
    rotate: float = 0


class _Stream(msgspec.Struct, frozen=True):
    codec_type: str = ""
    width: int = 0
    height: int = 0
    duration: float = 0
    disposition: _Disposition = _Disposition()
    side_data_list: tuple[_Side, ...] = ()
    tags: _Tags = _Tags()

    @property
    def is_film(self) -> bool:
        return (
            self.codec_type == "video"
            and not self.disposition.attached_pic
            and 0 < self.width <= _MAX_SIDE
            and 0 < self.height <= _MAX_SIDE
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is shown, upright."""
        turn = next((side.rotation for side in self.side_data_list if side.rotation), self.tags.rotate)
        return (self.height, self.width) if round(turn) % 180 == 90 else (self.width, self.height)


class _Format(msgspec.Struct, frozen=True):
    duration: float = 0


class _Probed(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Format = _Format()


_decode_probed = msgspec.json.Decoder(_Probed, strict=False).decode


def look_at_film(order: Order, content_type: str, deadline: float) -> Answer:
    """Look at a video or a sound until the deadline (monotonic).

    What was found before something failed is told, with why the rest is missing.

    Raises:
        Refused: nothing could be found out.
    """
    if order.programs is None:
        raise Refused(Unseen.NO_PROGRAM)
    probed = _probe(order, order.programs, content_type, deadline)
    duration_ms = _duration_ms(probed)
    film = next((stream for stream in probed.streams if stream.is_film), None)
    if film is not None and content_type.startswith("video/"):
        width, height = film.size
        found = Answer(content_type, width, height, duration_ms)
        look = _poster
    elif any(stream.codec_type == "audio" for stream in probed.streams):
        found = Answer(content_type, duration_ms=duration_ms)
        look = _listen
    else:
        raise Refused(Unseen.BROKEN)
    try:
        return look(order, order.programs, found, deadline)
    except Refused as refused:
        return msgspec.structs.replace(found, unseen=refused.why)


def _probe(order: Order, programs: Programs, content_type: str, deadline: float) -> _Probed:
    arguments = [programs.ffprobe, *_QUIET, "-show_entries", _ENTRIES, "-of", "json"]
    said = output([*arguments, *reading(order.path, content_type)], deadline, _PROBE_BYTES)
    try:
        return _decode_probed(said)
    except (msgspec.MsgspecError, UnicodeError):
        raise Refused(Unseen.BROKEN) from None


def _duration_ms(probed: _Probed) -> int | None:
    seconds = probed.format.duration or max((stream.duration for stream in probed.streams), default=0)
    return round(seconds * 1000) if 0 < seconds <= _MAX_DURATION_S else None


def _poster(order: Order, programs: Programs, found: Answer, deadline: float) -> Answer:
    """Take the picture a second after the beginning, of a shorter film its first."""
    later = (found.duration_ms or 0) > 2000 * _POSTER_AT_S
    taken = (later and _frame(order, programs, found, deadline, _POSTER_AT_S)) or _frame(
        order, programs, found, deadline, 0
    )
    try:
        with Image.open(io.BytesIO(taken), formats=["PPM"]) as image:
            return finish(image.convert("RGB"), found, order)
    except (OSError, ValueError):
        raise Refused(Unseen.BROKEN) from None


def _frame(order: Order, programs: Programs, found: Answer, deadline: float, at_s: float) -> bytes:
    """Return one picture in PPM, upright and no larger than a thumbnail; empty when there is none there."""
    side = order.pixels
    scale = f"scale=w='min({side},iw)':h='min({side},ih)':force_original_aspect_ratio=decrease"
    arguments = [programs.ffmpeg, "-nostdin", *_QUIET, "-ss", str(at_s), *reading(order.path, found.content_type)]
    arguments += ["-map", "0:V:0", "-frames:v", "1", "-vf", scale, "-threads", "1", "-filter_threads", "1"]
    arguments += ["-c:v", "ppm", "-f", "image2pipe", "pipe:1"]
    return output(arguments, deadline, 4 * side * side + 64)


def _listen(order: Order, programs: Programs, found: Answer, deadline: float) -> Answer:
    """Decode the first sound to its end: what it takes is its length, whatever its header says."""
    arguments = [programs.ffmpeg, "-nostdin", *_QUIET, *reading(order.path, found.content_type)]
    arguments += ["-map", "0:a:0", "-ac", "1", "-ar", str(_RATE), "-threads", "1", "-filter_threads", "1"]
    arguments += ["-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
    peaks = Peaks()
    peaks.take(pieces(arguments, deadline))
    waveform = peaks.waveform()
    if not peaks.samples:
        raise Refused(Unseen.BROKEN)
    return msgspec.structs.replace(found, duration_ms=peaks.samples * 1000 // _RATE, waveform=waveform)
