"""What can go wrong for an application. Each message says what to do next.

CooeeClientError
├── ServerError            the server refused a request
│   └── NotLoggedIn        … because there is no valid token
├── ConnectionFailed       the server could not be reached
├── Stopped                the server said not to come back (revoked, replaced)
├── SendFailed             a message will not be sent by itself any more
├── DownloadFailed         what came is not the file that was sent
└── StoreError
    ├── StoreLocked        another process uses the store
    ├── StoreMismatch      the store belongs to another account or server
    ├── StoreKeyError      the key of the store is not to be had
    │   ├── StoreLockedByPassphrase   … because no passphrase was given
    │   ├── WrongPassphrase           … because another one was given
    │   ├── StoreKeyElsewhere         … because its keeper did not give it
    │   ├── WrongStoreKey             … because another key was given
    │   ├── WrongProtection           … because it is kept in another way than the caller says
    │   └── StoreKeyLost              … because its file is missing or damaged
    ├── BackupUnusable     a backup is damaged, cut short, or of another passphrase
    └── StoreUnusable      the store cannot be opened or written
"""


class CooeeClientError(Exception):
    """Base of all errors that the SDK raises on purpose."""


class ServerError(CooeeClientError):
    """The server refused a request. ``code`` is from the closed list of PROTOCOL.md §10."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.status = status


class NotLoggedIn(ServerError):
    """There is no token, or the server does not take it any more."""

    def __init__(self, message: str = "not logged in; log in first") -> None:
        super().__init__("unauthorized", message, status=401)


class ConnectionFailed(CooeeClientError):
    """The server could not be reached, or did not answer in time. A retry is safe."""


class Stopped(CooeeClientError):
    """The server closed the connection for good: the device was revoked (4003) or replaced (4009)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SendFailed(CooeeClientError):
    """A message was refused for good, or is too old to be sent by itself; ``code`` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class DownloadFailed(CooeeClientError):
    """What was downloaded is not the file that was sent; nothing was kept."""


class StoreError(CooeeClientError):
    """The local store cannot be used."""


class StoreLocked(StoreError):
    """Another process uses the store; a store has one writer."""


class StoreMismatch(StoreError):
    """The store belongs to another account or another server."""


class StoreKeyError(StoreError):
    """The key of the store is not to be had; nothing was opened, and nothing was changed."""


class StoreLockedByPassphrase(StoreKeyError):
    """The store is protected by a passphrase, and none was given."""


class WrongPassphrase(StoreKeyError):
    """The passphrase is not that of the store."""


class StoreKeyElsewhere(StoreKeyError):
    """The store's key is kept elsewhere, in a keyring perhaps, and was not given."""


class WrongStoreKey(StoreKeyError):
    """The key that was given is not that of the store."""


class WrongProtection(StoreKeyError):
    """A passphrase or a key was given for a store whose key is kept in another way."""


class StoreKeyLost(StoreKeyError):
    """The file with the key of an encrypted store is missing or damaged."""


class BackupUnusable(StoreError):
    """A backup is damaged, cut short, of a newer version, or of another passphrase; nothing was restored."""


class StoreUnusable(StoreError):
    """The store is damaged, of a newer version, or cannot be written."""
