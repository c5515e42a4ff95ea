"""Tokens, codes and ids: how they are made, and the hashes under which they are kept."""

import base64
import secrets
from hashlib import sha256

RECOVERY_CODES = 10
_TOKEN_BYTES = 32
_CODE_BYTES = 10
_MAX_TOKEN = 128
_LOOK_ALIKES = str.maketrans("018", "olb", "- \t\n")


def new_token() -> str:
    """Return a new token of 256 bits, 43 characters of base64url."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def new_invite() -> str:
    """Return a new invitation token of 128 bits."""
    return secrets.token_urlsafe(16)


def new_device_id() -> str:
    """Return a deviceId: short, opaque, without characters that a shell or an eye would trip over."""
    return secrets.token_hex(5)


def new_hook_id() -> str:
    """Return the id of an incoming webhook. No device of a bot has one like it."""
    return f"hook_{secrets.token_hex(10)}"


def hash_token(token: str) -> bytes:
    """Return what a token is found by. What cannot be a token gives empty bytes, which no device has."""
    if not token or len(token) > _MAX_TOKEN or not token.isascii():
        return b""
    return sha256(token.encode()).digest()


def new_recovery_codes() -> tuple[str, ...]:
    """Return ten codes of 80 bits each, in four groups of four letters and digits."""
    return tuple(_code() for _ in range(RECOVERY_CODES))


def _code() -> str:
    text = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def hash_recovery_code(user_id: str, code: str) -> bytes:
    """Return what a user's code is kept as. Case, spaces, dashes and look-alike digits make no difference."""
    normal = code.lower().translate(_LOOK_ALIKES)
    return sha256(f"{user_id}:{normal}".encode("utf-8", "surrogatepass")).digest()
