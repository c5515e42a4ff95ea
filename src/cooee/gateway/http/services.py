"""What the HTTP API needs behind it: one record, filled by the wiring."""

from collections.abc import Awaitable, Callable

import msgspec

from cooee.protocol.poll import PollRequest, PollResponse
from cooee.services.accounts import AccountService
from cooee.services.bots import BotService
from cooee.services.budgets import Budgets
from cooee.services.contacts import ContactService
from cooee.services.conversation_list import ConversationList
from cooee.services.device_lists import DeviceLists
from cooee.services.devices import DeviceService
from cooee.services.encryption_modes import EncryptionModes
from cooee.services.export import ExportService
from cooee.services.groups import GroupService
from cooee.services.incoming import IncomingHooks
from cooee.services.keys import KeyService
from cooee.services.media import MediaService
from cooee.services.messages import Messages
from cooee.services.profiles import ProfileService
from cooee.services.push import PushService
from cooee.services.receipts import Receipts
from cooee.services.sync import Sync
from cooee.services.webhooks import WebhookService

Poll = Callable[[PollRequest, str, str], Awaitable[PollResponse]]
"""Carries frames by long polling: request, bearer token, the client's address."""


class HttpServices(msgspec.Struct, frozen=True):
    """The services by name.

    ``ready`` raises CooeeError ``unavailable`` while the server drains or its store takes nothing; ``metrics`` renders
    the counters in Prometheus' text format.
    """

    accounts: AccountService
    bots: BotService
    incoming: IncomingHooks
    webhooks: WebhookService
    profiles: ProfileService
    devices: DeviceService
    contacts: ContactService
    conversations: ConversationList
    keys: KeyService
    device_lists: DeviceLists
    modes: EncryptionModes
    media: MediaService
    messages: Messages
    receipts: Receipts
    sync: Sync
    groups: GroupService
    export: ExportService
    push: PushService
    budgets: Budgets
    poll: Poll
    ready: Callable[[], Awaitable[None]]
    metrics: Callable[[], bytes]
    web_push_key: str = ""
    """What browsers subscribe with (RFC 8292), base64url."""
