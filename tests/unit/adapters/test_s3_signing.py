"""Signature Version 4 against the examples that AWS publishes for S3.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and sigv4-query-string-auth.html
"""

import hashlib

import pytest

from cooee.adapters.s3.signing import EMPTY_SHA256, Credentials, Request, presigned_query, signed_headers

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = "examplebucket.s3.amazonaws.com"
AT_S = 1_369_353_600
"""2013-05-24T00:00:00Z."""


def signature(request: Request, payload_sha256: str = EMPTY_SHA256) -> str:
    headers = signed_headers(EXAMPLE, request, AT_S, payload_sha256)
    return headers["authorization"].rpartition("Signature=")[2]


def test_get_object() -> None:
    request = Request("GET", HOST, "/test.txt", headers={"range": "bytes=0-9"})
    assert signed_headers(EXAMPLE, request, AT_S, EMPTY_SHA256) == {
        "range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": "20130524T000000Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }


def test_put_object() -> None:
    headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    request = Request("PUT", HOST, "/test$file.text", headers=headers)
    content = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    assert signature(request, content) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"


def test_get_bucket_lifecycle() -> None:
    request = Request("GET", HOST, "/", {"lifecycle": ""})
    assert signature(request) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"


def test_list_objects() -> None:
    request = Request("GET", HOST, "/", {"max-keys": "2", "prefix": "J"})
    assert signature(request) == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"


def test_presigned_get() -> None:
    assert presigned_query(EXAMPLE, Request("GET", HOST, "/test.txt"), AT_S, 86_400) == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_everything_of_a_request_counts() -> None:
    base = Request("PUT", HOST, "/key", {"a": "b"}, {"content-length": "5"})
    others = [
        base._replace(method="GET"),
        base._replace(host="other"),
        base._replace(path="/keys"),
        base._replace(query={"a": "c"}),
        base._replace(headers={"content-length": "6"}),
    ]
    queries = {presigned_query(EXAMPLE, each, AT_S, 60) for each in (base, *others)}
    queries |= {presigned_query(EXAMPLE, base, AT_S + 1, 60), presigned_query(EXAMPLE, base, AT_S, 61)}
    assert len(queries) == len(others) + 3


@pytest.mark.parametrize("expires_s", [0, -1, 604_801])
def test_a_time_that_s3_does_not_take_is_not_signed(expires_s: int) -> None:
    with pytest.raises(ValueError, match="seven days"):
        presigned_query(EXAMPLE, Request("GET", HOST, "/"), AT_S, expires_s)


def test_the_secret_is_not_shown() -> None:
    assert EXAMPLE.secret_key not in repr(EXAMPLE)
