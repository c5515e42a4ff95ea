"""Secrets other than tokens: recovery codes and registration invites. Only hashes are kept."""

from collections.abc import Sequence
from typing import Protocol


class Credentials(Protocol):
    """One-time secrets."""

    async def put_recovery_codes(self, user_id: str, hashes: Sequence[bytes]) -> None:
        """Replace all recovery codes of the user."""
        ...

    async def use_recovery_code(self, user_id: str, code_hash: bytes) -> bool:
        """Use a code up; False when it is unknown or used. Atomic."""
        ...

    async def put_invite(self, token_hash: bytes, expires_at: int, max_uses: int) -> None:
        """Store an invitation to register. ``expires_at`` (ms) 0: never; ``max_uses`` 0: no bound."""
        ...

    async def use_invite(self, token_hash: bytes, now_ms: int) -> bool:
        """Count one use; False when unknown, expired or used up. Atomic."""
        ...
