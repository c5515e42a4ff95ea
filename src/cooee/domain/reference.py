"""How an end-to-end encrypted body names another message of its conversation: by what its seal binds. Pure."""

import hashlib
from base64 import urlsafe_b64encode

from cooee.domain.message import CONTENT_SYSTEM

_LABEL = "cooee-v1 message"
_BYTES = 16


def reference_of(sender_id: str, sender_device_id: str, client_message_id: str) -> str:
    """Return the reference of a message: the first 16 bytes of a SHA-256, in base64url: 22 characters.

    The content of an encrypted message opens only for its conversation, sender, device and clientMessageId, so a server
    cannot let a reference mean another message. The conversation is that of the body that has the reference.
    """
    named = f"{_LABEL}\x00{sender_id}\x00{sender_device_id}\x00{client_message_id}"
    digest = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest[:_BYTES]).rstrip(b"=").decode()


def reference_of_stored(sender_id: str, sender_device_id: str, client_message_id: str, content_type: str) -> str:
    """Return the reference of a message of any kind; empty when it has none: it is the server's own, or unknown."""
    if content_type == CONTENT_SYSTEM or not client_message_id:
        return ""
    return reference_of(sender_id, sender_device_id, client_message_id)
