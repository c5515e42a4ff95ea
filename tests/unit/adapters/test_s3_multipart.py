"""What S3 says in XML."""

import pytest

from cooee.adapters.s3.multipart import (
    NotUnderstood,
    Part,
    completion,
    is_error,
    latest,
    parts_of,
    upload_id_of,
    uploads_of,
)

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
SPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ONE = b"<Part><PartNumber>1</PartNumber><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;a&quot;</ETag>"
ONE += b"<Size>5</Size></Part>"


def test_a_new_upload() -> None:
    assert upload_id_of(HEAD + b"<R %b><Bucket>b</Bucket><UploadId>u-1</UploadId></R>" % SPACE) == "u-1"


def test_pages_of_parts() -> None:
    last = HEAD + b"<R %b><IsTruncated>false</IsTruncated>%b</R>" % (SPACE, ONE)
    assert parts_of(last) == ([Part(1, '"a"', 5, "2026-01-01T00:00:00.000Z")], "")
    more = b"<R><IsTruncated>true</IsTruncated><NextPartNumberMarker>1000</NextPartNumberMarker></R>"
    assert parts_of(more) == ([], "1000")


def test_of_a_part_that_came_twice_the_later_counts() -> None:
    early, late, other = Part(2, "a", 1, "2026-01-01"), Part(2, "b", 2, "2026-01-02"), Part(1, "c", 3, "2026-01-03")
    assert latest([early, late, other]) == [other, late]
    assert latest([late, early]) == [late]


def test_uploads_of_a_key_are_of_that_key() -> None:
    listed = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{number}</UploadId></Upload>" for number, key in enumerate("aab")
    )
    assert uploads_of(f"<R {SPACE.decode()}>{listed}<Upload/></R>".encode(), "a") == ["0", "1"]


def test_the_joining_names_every_part() -> None:
    body = completion([Part(1, '"a"', 5, ""), Part(2, "<&>", 5, "")])
    assert body == (
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part>'
        b"<Part><PartNumber>2</PartNumber><ETag>&lt;&amp;&gt;</ETag></Part></CompleteMultipartUpload>"
    )


def test_an_error_in_a_good_answer_is_seen() -> None:
    assert is_error(b"<Error><Code>InternalError</Code></Error>")
    assert not is_error(b"<CompleteMultipartUploadResult %b/>" % SPACE)


@pytest.mark.parametrize("answer", [b"", b"no", b"<R>", b"\xff", b"<R><Part><Size>x</Size></Part></R>"])
def test_anything_else_is_not_understood(answer: bytes) -> None:
    for reading in (upload_id_of, parts_of):
        with pytest.raises(NotUnderstood):
            reading(answer)
