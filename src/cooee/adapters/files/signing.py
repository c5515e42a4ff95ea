"""Signed requests to this server's own folder of media, pure: a query string and its HMAC-SHA256.

All that the request may do stands in the query and is signed with the method and the key, so a request that was signed
for one thing is good for no other. The secret signs nothing else.
"""

import hmac
from collections.abc import Mapping

from cooee.ports.blob_files import Grant

PATH = "/v1/blobs/"
_DOMAIN = b"cooee media 1"
_FIELDS = ("e", "n", "h", "t", "p", "u", "f", "i")
"""expires (ms), size, SHA-256 (hex), type, part, upload, file name, inline: in the order in which they are signed."""
_SIGNATURE = "s"
_MAX_NUMBER = 19


class NotSigned(Exception):
    """The query was not signed so, by whoever has the secret."""


def signed_query(secret: bytes, grant: Grant) -> dict[str, str]:
    """Return the parameters that let anybody make the request. Empty ones are left out."""
    values = {
        "e": str(grant.expires_at),
        "n": str(grant.size) if grant.method == "PUT" else "",
        "h": grant.sha256.hex(),
        "t": grant.content_type,
        "p": str(grant.part) if grant.part else "",
        "u": grant.upload_id,
        "f": grant.filename,
        "i": "1" if grant.inline else "",
    }
    query = {name: value for name, value in values.items() if value}
    return {**query, _SIGNATURE: _signature(secret, grant.method, grant.key, query)}


def grant_of(secret: bytes, method: str, key: str, query: Mapping[str, str]) -> Grant:
    """Return what a signed request may do, if it was signed; whether it has expired is not looked at.

    Raises:
        NotSigned: something of it was changed, is missing, or is too much.
    """
    fields = {name: value for name, value in query.items() if name != _SIGNATURE}
    expected = _signature(secret, method, key, fields)
    given = query.get(_SIGNATURE, "")
    if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")) or not fields.keys() <= set(_FIELDS):
        raise NotSigned
    return Grant(
        method=method,
        key=key,
        expires_at=_number(fields.get("e", "")),
        content_type=fields.get("t", ""),
        size=_number(fields.get("n", "")),
        sha256=bytes.fromhex(fields.get("h", "")),
        part=_number(fields.get("p", "")),
        upload_id=fields.get("u", ""),
        filename=fields.get("f", ""),
        inline="i" in fields,
    )


def _signature(secret: bytes, method: str, key: str, fields: Mapping[str, str]) -> str:
    """Sign every part with its length before it, so that no two requests have the same text."""
    parts = [_DOMAIN, method.encode(), key.encode(errors="replace")]
    parts += [f"{name}={fields[name]}".encode(errors="replace") for name in sorted(fields)]
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, text, "sha256").hex()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_NUMBER else 0
