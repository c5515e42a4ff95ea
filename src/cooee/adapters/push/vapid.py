"""VAPID (RFC 8292): the server's own key, and the tokens by which push services know it.

The key is what browsers subscribe to: with another one all subscriptions end, so it belongs into every backup.
"""

import contextlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections import OrderedDict
from pathlib import Path
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from cooee.ports.clock import Clock

_VALID_S = 12 * 3600
"""Half of what RFC 8292 §2 allows; clocks differ."""
_USED_S = 6 * 3600
_MAX_ORIGINS = 1000
_TOPIC_BYTES = 16


class VapidKeyUnusable(ValueError):
    """The file holds no private key of P-256; the message names it."""


def load_vapid_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the server's key, made at the first call: PEM, readable by this user alone. Blocks; raises OSError.

    Raises:
        VapidKeyUnusable: the file is there and holds something else.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError):
            raise VapidKeyUnusable(f"{path} holds no private key in PEM without a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise VapidKeyUnusable(f"{path} holds no key of P-256")
        return key
    made = ec.generate_private_key(ec.SECP256R1())
    _write(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Vapid:
    """Signs for push services, one token an origin for six hours. ``contact``: mailto: or https:, or empty."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str, clock: Clock) -> None:
        self._key = key
        self._contact = contact
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._topic_key = key.private_numbers().private_value.to_bytes(32)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = urlsafe_b64encode(point).rstrip(b"=").decode()
        """What a browser subscribes with (``applicationServerKey``), base64url."""

    def authorization(self, endpoint: str) -> str:
        """Return the Authorization header for a request to ``endpoint`` (RFC 8292 §3)."""
        parts = urlsplit(endpoint)
        return f"vapid t={self._token(f'{parts.scheme}://{parts.netloc}')}, k={self.public_key}"

    def topic(self, name: str) -> str:
        """Return the Topic (RFC 8030 §5.4) for notifications of this name: the same for it, and nobody can guess it."""
        digest = hmac.digest(self._topic_key, b"cooee push topic\0" + name.encode(), "sha256")
        return urlsafe_b64encode(digest[:_TOPIC_BYTES]).rstrip(b"=").decode()

    def _token(self, origin: str) -> str:
        now = self._clock.wall_ms() // 1000
        made_at, token = self._tokens.get(origin, (0, ""))
        if not token or not 0 <= now - made_at < _USED_S:
            claims = {"aud": origin, "exp": now + _VALID_S} | ({"sub": self._contact} if self._contact else {})
            token = jwt.encode(claims, self._key, "ES256")
            self._tokens[origin] = (now, token)
            if len(self._tokens) > _MAX_ORIGINS:
                self._tokens.popitem(last=False)
        return token
