"""What content is by its first bytes, whatever anybody says it is."""

from cooee.domain.media import INLINE

HEAD_BYTES = 4096
"""How much of an object is looked at."""

_ZIP = "application/zip"
_ZIPPED = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
_TEXTUAL = ("application/json", "application/xml", "application/javascript", "image/svg+xml")

_PREFIXES: tuple[tuple[bytes, frozenset[str]], ...] = (
    (b"\xff\xd8\xff", frozenset({"image/jpeg"})),
    (b"\x89PNG\r\n\x1a\n", frozenset({"image/png"})),
    (b"GIF87a", frozenset({"image/gif"})),
    (b"GIF89a", frozenset({"image/gif"})),
    (b"\x1a\x45\xdf\xa3", frozenset({"video/webm", "audio/webm", "video/x-matroska"})),
    (b"OggS", frozenset({"audio/ogg", "video/ogg"})),
    (b"fLaC", frozenset({"audio/flac"})),
    (b"ID3", frozenset({"audio/mpeg", "audio/aac"})),
    (b"%PDF-", frozenset({"application/pdf"})),
    (b"PK\x03\x04", frozenset({_ZIP})),
    (b"PK\x05\x06", frozenset({_ZIP})),
)
_NOTHING: frozenset[str] = frozenset()
_STILL = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
_HEIF = frozenset({"image/heic", "image/heif"})
_AVIF = frozenset({"image/avif", "image/heif"})
_FILM = frozenset({"video/mp4", "audio/mp4", "audio/x-m4a", "video/quicktime", "video/3gpp", "audio/3gpp"})
_KNOWN = INLINE | {_ZIP, "application/pdf", "application/epub+zip"}
"""Types whose content is told by its first bytes."""


def types_of(head: bytes) -> frozenset[str]:
    """Return the types that content which begins with ``head`` may have; empty: it has no signature known here."""
    for prefix, types in _PREFIXES:
        if head.startswith(prefix):
            return types
    if head[:4] == b"RIFF":
        return {b"WEBP": frozenset({"image/webp"}), b"WAVE": frozenset({"audio/wav", "audio/x-wav"})}.get(
            head[8:12], _NOTHING
        )
    if head[4:8] == b"ftyp":
        return _boxed(head)
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return frozenset({"image/bmp"})
    return _sound(head)


def agrees(declared: str, head: bytes) -> bool:
    """Tell whether content that begins with ``head`` may be what it is declared to be.

    A type with a signature must have it. Text has no NUL. Of the rest nothing can be told, and nothing is shown in
    place.
    """
    if declared.startswith(_ZIPPED) or declared == "application/epub+zip":
        declared = _ZIP
    if declared in _KNOWN:
        return declared in types_of(head)
    if declared.startswith("text/") or declared in _TEXTUAL:
        return b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return True


def _boxed(head: bytes) -> frozenset[str]:
    """Tell the kinds of ISO base media (ISO/IEC 14496-12) apart by their brands."""
    brand = head[8:12]
    if brand in {b"avif", b"avis"}:
        return _AVIF
    if brand in _STILL:
        length = int.from_bytes(head[:4])
        brands = {head[at : at + 4] for at in range(16, min(length, 256), 4)}
        return _AVIF | _HEIF if b"avif" in brands else _HEIF
    return _FILM


def _sound(head: bytes) -> frozenset[str]:
    """Tell MPEG audio without a tag by its sync word, layer (II or III), bit rate and rate; ADTS by its layer 0."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return _NOTHING
    if head[1] & 0xF6 == 0xF0:
        return frozenset({"audio/aac"})
    is_frame = head[1] & 0x06 in {0x02, 0x04} and head[1] & 0x18 != 0x08
    return frozenset({"audio/mpeg"}) if is_frame and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C else _NOTHING
