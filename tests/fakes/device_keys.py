"""Keys that have the right size and mean nothing, and device lists that are signed by a real account key."""

import json
from base64 import urlsafe_b64encode
from hashlib import shake_256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cooee.protocol.keys import LIST_SIGNATURE_PREFIX


def base64url(content: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def some(name: str, size: int) -> str:
    """Return ``size`` bytes that follow from ``name``, base64url."""
    return base64url(shake_256(name.encode()).digest(size))


def identity(device: str) -> str:
    """Return a device's identity key."""
    return some(f"identity of {device}", 32)


def pre_key(number: int, device: str = "") -> dict[str, Any]:
    """Return a one-time pre-key."""
    return {"id": number, "key": some(f"pre {device} {number}", 32)}


def signed_pre_key(number: int = 1, device: str = "") -> dict[str, Any]:
    """Return a signed pre-key."""
    return {"id": number, "key": some(f"signed {device} {number}", 32), "signature": some(f"s {number}", 64)}


def kem_key(number: int, device: str = "") -> dict[str, Any]:
    """Return a KEM key."""
    return {"id": number, "key": some(f"kem {device} {number}", 1568), "signature": some(f"k {number}", 64)}


def publication(device: str, pre: range = range(1, 4), kem: range = range(1, 3)) -> dict[str, Any]:
    """Return all that a device publishes at first: the body of ``PUT /v1/keys``."""
    return {
        "identityKey": identity(device),
        "signedPreKey": signed_pre_key(1, device),
        "lastResortKemKey": kem_key(1_000, device),
        "oneTimePreKeys": [pre_key(number, device) for number in pre],
        "oneTimeKemKeys": [kem_key(number, device) for number in kem],
    }


class AccountKey:
    """The account key of one user."""

    def __init__(self, name: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(shake_256(f"account {name}".encode()).digest(32))
        self.public = base64url(self._private.public_key().public_bytes_raw())

    def signed(self, payload: bytes) -> dict[str, Any]:
        """Return a payload with its signature: the body of ``PUT …/device-list``."""
        signature = self._private.sign(LIST_SIGNATURE_PREFIX + payload)
        return {"payload": base64url(payload), "signature": base64url(signature)}

    def list(self, user_id: str, version: int, /, *devices: str, **fields: Any) -> dict[str, Any]:
        """Return the signed list of these devices, each with its `identity`; ``fields`` change the payload."""
        payload = {
            "type": "cooee-device-list",
            "v": 1,
            "userId": user_id,
            "version": version,
            "createdAt": 1_764_000_000_000,
            "accountKey": self.public,
            "devices": [{"deviceId": name, "identityKey": identity(name)} for name in sorted(devices)],
        } | fields
        return self.signed(json.dumps(payload).encode())
