"""The SDK: connection, outbox, local store and state.

May import `protocol`, `crypto` and `domain`, nothing of the server.
"""

from cooee.client.account import load_account
from cooee.client.api import Api
from cooee.client.client import Client, ClientSettings
from cooee.client.e2ee.results import Diagnostics
from cooee.client.encryption import LinkCode, OwnDevice, SafetyNumber, restore_backup
from cooee.client.errors import (
    BackupUnusable,
    ConnectionFailed,
    CooeeClientError,
    DownloadFailed,
    NotLoggedIn,
    SendFailed,
    ServerError,
    Stopped,
    StoreError,
    StoreKeyError,
    StoreLocked,
    StoreLockedByPassphrase,
    StoreMismatch,
    StoreUnusable,
    WrongPassphrase,
)
from cooee.client.events import (
    AccountUpdated,
    ConnectionState,
    ConversationUpdated,
    DeviceLinked,
    DeviceUnlinked,
    EncryptionChanged,
    EncryptionProblem,
    Event,
    KeyChanged,
    LinkNeeded,
    MediaUpdated,
    MessageDeleted,
    MessageUpdated,
    Presence,
    SetupProgress,
    TickChanged,
    ToDevice,
    Typing,
)
from cooee.client.files import FileEntry, FileKind, Progress
from cooee.client.inbox import inbox
from cooee.client.login import log_in, register
from cooee.client.model import Account, ConversationView, HistoryPage, Media, Message, Pending
from cooee.client.webhooks import WebhookNotVerified, verify_webhook

__all__ = [
    "Account",
    "AccountUpdated",
    "Api",
    "BackupUnusable",
    "Client",
    "ClientSettings",
    "ConnectionFailed",
    "ConnectionState",
    "ConversationUpdated",
    "ConversationView",
    "CooeeClientError",
    "DeviceLinked",
    "DeviceUnlinked",
    "Diagnostics",
    "DownloadFailed",
    "EncryptionChanged",
    "EncryptionProblem",
    "Event",
    "FileEntry",
    "FileKind",
    "HistoryPage",
    "KeyChanged",
    "LinkCode",
    "LinkNeeded",
    "Media",
    "MediaUpdated",
    "Message",
    "MessageDeleted",
    "MessageUpdated",
    "NotLoggedIn",
    "OwnDevice",
    "Pending",
    "Presence",
    "Progress",
    "SafetyNumber",
    "SendFailed",
    "ServerError",
    "SetupProgress",
    "Stopped",
    "StoreError",
    "StoreKeyError",
    "StoreLocked",
    "StoreLockedByPassphrase",
    "StoreMismatch",
    "StoreUnusable",
    "TickChanged",
    "ToDevice",
    "Typing",
    "WebhookNotVerified",
    "WrongPassphrase",
    "inbox",
    "load_account",
    "log_in",
    "register",
    "restore_backup",
    "verify_webhook",
]
