"""What the members of a group agree on: a hash over all their current devices (PROTOCOL.md §15)."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from cooee.domain.ids import DeviceRef


def device_list_hash(devices: Iterable[tuple[DeviceRef, str]]) -> str:
    """Return the hash over devices and their identity keys (base64url), in whatever order they are given.

    base64url without padding of SHA-256 over the UTF-8 lines ``{userId}/{deviceId}/{identityKey}`` with a newline each,
    ascending by the bytes of (userId, deviceId). No device: the hash over nothing.
    """
    ordered = sorted((ref.user_id.encode(), ref.device_id.encode(), key.encode()) for ref, key in devices)
    digest = sha256(b"".join(b"%b/%b/%b\n" % line for line in ordered)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
