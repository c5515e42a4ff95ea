"""Sync tokens: opaque to clients, a position in the user's change log for the server (PROTOCOL.md §5)."""


class SyncTokens:
    """Tokens of one store. ``epoch`` names the store, so that a token from before a restore is recognised."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def at(self, position: int) -> str:
        """Return the token of a position."""
        return f"{self._epoch}.{position}"

    def position(self, token: str) -> int | None:
        """Return the position of a token, or None when it is not one of this store."""
        epoch, _, position = token.rpartition(".")
        if epoch != self._epoch or not position.isascii() or not position.isdigit() or len(position) > 18:
            return None
        return int(position)
