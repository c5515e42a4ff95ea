"""The SDK: connection, outbox, local store and state.

May import `protocol`, `crypto` and `domain`, nothing of the server.
"""

from cooee.client.account import load_account
from cooee.client.api import Api
from cooee.client.client import Client, ClientSettings
from cooee.client.errors import (
    ConnectionFailed,
    CooeeClientError,
    DownloadFailed,
    NotLoggedIn,
    SendFailed,
    ServerError,
    Stopped,
    StoreError,
    StoreLocked,
    StoreMismatch,
    StoreUnusable,
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
    "Client",
    "ClientSettings",
    "ConnectionFailed",
    "ConnectionState",
    "ConversationUpdated",
    "ConversationView",
    "CooeeClientError",
    "DeviceLinked",
    "DeviceUnlinked",
    "DownloadFailed",
    "EncryptionChanged",
    "EncryptionProblem",
    "Event",
    "FileEntry",
    "FileKind",
    "HistoryPage",
    "KeyChanged",
    "LinkNeeded",
    "Media",
    "MediaUpdated",
    "Message",
    "MessageDeleted",
    "MessageUpdated",
    "NotLoggedIn",
    "Pending",
    "Presence",
    "Progress",
    "SendFailed",
    "ServerError",
    "SetupProgress",
    "Stopped",
    "StoreError",
    "StoreLocked",
    "StoreMismatch",
    "StoreUnusable",
    "TickChanged",
    "ToDevice",
    "Typing",
    "WebhookNotVerified",
    "inbox",
    "load_account",
    "log_in",
    "register",
    "verify_webhook",
]
