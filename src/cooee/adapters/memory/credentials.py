"""Hashes of one-time secrets in dictionaries."""

from collections.abc import Sequence


class MemoryCredentials:
    """`Credentials` that a restart forgets."""

    def __init__(self) -> None:
        self._codes: dict[str, set[bytes]] = {}
        self._invites: dict[bytes, tuple[int, int, int]] = {}

    async def put_recovery_codes(self, user_id: str, hashes: Sequence[bytes]) -> None:
        """Replace all recovery codes of the user."""
        self._codes[user_id] = set(hashes)

    async def use_recovery_code(self, user_id: str, code_hash: bytes) -> bool:
        """Use a code up; False when it is unknown or used."""
        codes = self._codes.get(user_id, set())
        if code_hash not in codes:
            return False
        codes.remove(code_hash)
        return True

    async def put_invite(self, token_hash: bytes, expires_at: int, max_uses: int) -> None:
        """Store an invitation to register; one with the same hash is replaced."""
        self._invites[token_hash] = (expires_at, max_uses, 0)

    async def use_invite(self, token_hash: bytes, now_ms: int) -> bool:
        """Count one use; False when unknown, expired or used up."""
        expires_at, max_uses, uses = self._invites.get(token_hash, (1, 1, 1))
        if (expires_at and expires_at <= now_ms) or (max_uses and uses >= max_uses):
            return False
        self._invites[token_hash] = (expires_at, max_uses, uses + 1)
        return True

    def forget_user(self, user_id: str) -> None:
        """Remove the user's recovery codes."""
        self._codes.pop(user_id, None)
