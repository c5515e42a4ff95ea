"""Multipart uploads: what S3 says of them in XML, and what it is told. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from typing import NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

MAX_PARTS = 10_000
"""Of one upload."""


class NotUnderstood(Exception):
    """The store answered something else than its documentation says."""


class Part(NamedTuple):
    """A part that is there."""

    number: int
    etag: str
    size: int
    changed: str
    """When it came, as the store writes it: in an order that is that of time."""


def upload_id_of(answer: bytes) -> str:
    """Return the id of a new upload."""
    found = _tree(answer).findtext("{*}UploadId") or ""
    if not found:
        raise NotUnderstood
    return found


def parts_of(answer: bytes) -> tuple[list[Part], str]:
    """Return the parts on one page of the list, and the number after which the next begins, empty on the last."""
    tree = _tree(answer)
    try:
        parts = [
            Part(
                int(_text(each, "PartNumber")),
                _text(each, "ETag"),
                int(_text(each, "Size")),
                _text(each, "LastModified"),
            )
            for each in tree.iterfind("{*}Part")
        ]
    except ValueError:
        raise NotUnderstood from None
    more = tree.findtext("{*}IsTruncated") == "true"
    return parts, str(tree.findtext("{*}NextPartNumberMarker") or "") if more else ""


def latest(parts: list[Part]) -> list[Part]:
    """Return one part of each number, in order: the one that came last, where a store lists former ones, too."""
    by_number: dict[int, Part] = {}
    for part in parts:
        known = by_number.get(part.number)
        if known is None or part.changed >= known.changed:
            by_number[part.number] = part
    return [by_number[number] for number in sorted(by_number)]


def uploads_of(answer: bytes, key: str) -> list[str]:
    """Return the ids of the uploads of ``key`` that go on, on the first page of the list."""
    uploads = _tree(answer).iterfind("{*}Upload")
    return [_text(each, "UploadId") for each in uploads if each.findtext("{*}Key") == key]


def completion(parts: list[Part]) -> bytes:
    """Return the body that joins the parts."""
    listed = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>" for part in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def is_error(answer: bytes) -> bool:
    """Tell whether a body that came with status 200 is an error after all, as S3 does when joining takes long."""
    return _tree(answer).tag.endswith("Error")


def _tree(answer: bytes) -> ET.Element:
    try:
        return ET.fromstring(answer)  # noqa: S314  # of the operator's own store, and bounded
    except ET.ParseError:
        raise NotUnderstood from None


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""
