"""Keyrings as systems have them: one that works, and some that do not. Backends of the library, without a system."""

import threading

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class OpenKeyring(KeyringBackend):
    """Keeps what it is given, in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError("not found")
        del self.kept[service, username]


class LockedKeyring(OpenKeyring):
    """Nobody types its password."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the collection is locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("the collection is locked")


class ForgetfulKeyring(OpenKeyring):
    """Takes everything, keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Forget it."""


class PlaintextKeyring(OpenKeyring):
    """Says of itself that it is good, and is called what it is."""


class PoorKeyring(OpenKeyring):
    """One that the library does not recommend."""

    priority = 0.5  # type: ignore[assignment]


class SilentKeyring(OpenKeyring):
    """Waits for somebody who does not come."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.ended.wait()
        return None


class Chain(OpenKeyring):
    """Several keyrings, as the library chains them."""

    priority = 10

    def __init__(self, *backends: KeyringBackend) -> None:
        super().__init__()
        self.backends = backends
