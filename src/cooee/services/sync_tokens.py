"""Sync tokens: opaque to clients, a position in the user's change log for the server (PROTOCOL.md §5)."""

_MAX_DIGITS = 19


class SyncTokens:
    """Tokens of one format ``version``. Positions of another store are recognised by `ports.preferences`."""

    def __init__(self, version: str = "1") -> None:
        self._version = version

    def at(self, position: int) -> str:
        """Return the token of a position."""
        return f"{self._version}.{position}"

    def position(self, token: str) -> int | None:
        """Return the position of a token, or None when it is not one that `at` gave."""
        version, _, position = token.rpartition(".")
        if version != self._version or not position.isascii() or not position.isdigit() or len(position) > _MAX_DIGITS:
            return None
        return int(position)
