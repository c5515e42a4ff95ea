"""AWS Signature Version 4 for S3, pure: by query (what a client is given) and by header (what this server asks).

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256().hexdigest()
MAX_EXPIRES_S = 604_800
"""A request signed by query lives at most seven days."""


class Credentials(NamedTuple):
    """Whose requests these are, and of which region the store takes itself to be."""

    access_key: str
    secret_key: str
    region: str

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, region={self.region!r})"


class Request(NamedTuple):
    """What is signed: the host as in the ``Host`` header, the path unquoted, headers in lower case."""

    method: str
    host: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


def presigned_query(
    credentials: Credentials, request: Request, at_s: int, expires_s: int, payload_sha256: str = UNSIGNED
) -> str:
    """Return the query string that lets anybody make ``request`` from ``at_s`` (Unix time) on for ``expires_s``.

    All headers of the request, and the host, are signed: they must come exactly so.

    Raises:
        ValueError: the time is not within 1 s and seven days.
    """
    if not 1 <= expires_s <= MAX_EXPIRES_S:
        raise ValueError("a signed request lives between one second and seven days")
    headers = {**request.headers, "host": request.host}
    query = {
        **request.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{_scope(credentials, at_s)}",
        "X-Amz-Date": _stamp(at_s),
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": ";".join(sorted(headers)),
    }
    signature = _signature(credentials, request._replace(query=query, headers=headers), at_s, payload_sha256)
    return f"{canonical_query(query)}&X-Amz-Signature={signature}"


def signed_headers(credentials: Credentials, request: Request, at_s: int, payload_sha256: str) -> dict[str, str]:
    """Return all headers of ``request``, but for ``host``, with those that prove whose it is."""
    headers = {**request.headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": _stamp(at_s)}
    signed = {**headers, "host": request.host}
    signature = _signature(credentials, request._replace(headers=signed), at_s, payload_sha256)
    headers["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{_scope(credentials, at_s)},"
        f"SignedHeaders={';'.join(sorted(signed))},Signature={signature}"
    )
    return headers


def canonical_query(query: Mapping[str, str]) -> str:
    """Return a query string quoted and ordered as it is signed."""
    return "&".join(sorted(f"{_quote(name)}={_quote(value)}" for name, value in query.items()))


def canonical_path(path: str) -> str:
    """Return a path quoted as it is signed; S3's is not normalised."""
    return quote(path, safe="/-_.~")


def _signature(credentials: Credentials, request: Request, at_s: int, payload_sha256: str) -> str:
    names = sorted(request.headers)
    canonical = "\n".join(
        (
            request.method,
            canonical_path(request.path),
            canonical_query(request.query),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            ";".join(names),
            payload_sha256,
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((ALGORITHM, _stamp(at_s), _scope(credentials, at_s), digest))
    return hmac.digest(_signing_key(credentials, at_s), text.encode(), "sha256").hex()


def _signing_key(credentials: Credentials, at_s: int) -> bytes:
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (_stamp(at_s)[:8], credentials.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _scope(credentials: Credentials, at_s: int) -> str:
    return f"{_stamp(at_s)[:8]}/{credentials.region}/s3/aws4_request"


def _stamp(at_s: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
