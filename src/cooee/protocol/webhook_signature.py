"""The signature of outgoing webhooks: Standard Webhooks 1.0, symmetric (PROTOCOL.md §17). No clock: time is given."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE_S = 300
"""How far a request's time may lie from the receiver's, either way."""
SECRET_BYTES = (24, 64)
"""The least and the most bytes of a secret."""

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_VERSION = "v1"
_MAX_SIGNATURES = 16


class WebhookNotVerified(Exception):
    """The request is not from whoever has the secret, or too old; the message says why. Answer 401 and drop it."""


def encode_secret(key: bytes) -> str:
    """Return the text form of a secret."""
    return PREFIX + base64.b64encode(key).decode()


def decode_secret(secret: str) -> bytes:
    """Return the bytes of a secret. ValueError when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise ValueError("a webhook's secret is whsec_ and base64 of 24 to 64 bytes")
    return key


def signature(key: bytes, webhook_id: str, timestamp: int | str, body: bytes) -> str:
    """Return one ``v1,…`` signature over id, time (seconds) and body."""
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, "sha256")
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def signed_headers(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers; one signature for each key, as while a secret is being replaced."""
    signatures = " ".join(signature(key, webhook_id, timestamp, body) for key in keys)
    return {ID: webhook_id, TIMESTAMP: str(timestamp), SIGNATURE: signatures}


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float, tolerance_s: float = TOLERANCE_S) -> str:
    """Return the request's ``webhook-id`` when one of its signatures is good; compared in constant time.

    ``body`` is what came over the wire, byte for byte. Header names may be in any case.

    Raises:
        WebhookNotVerified: a header is missing, the time is off by more than ``tolerance_s``, or no signature fits.
        ValueError: ``secret`` is none.
    """
    key = decode_secret(secret)
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not webhook_id or not timestamp or not signatures:
        raise WebhookNotVerified("a header of the signature is missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise WebhookNotVerified("the time is not a number of seconds")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise WebhookNotVerified("the request is too old, or its time lies ahead")
    expected = signature(key, webhook_id, timestamp, body).encode()
    fits = False
    for one in signatures.split(" ")[:_MAX_SIGNATURES]:
        fits |= hmac.compare_digest(one.encode(errors="surrogateescape"), expected)
    if not fits:
        raise WebhookNotVerified("no signature fits this secret and body")
    return webhook_id
