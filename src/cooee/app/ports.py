"""Everything that the services of one server need of the world, put together in one place."""
# ruff: noqa: D102  # the properties of Store are what their ports say

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from cooee.ports.accounts import Accounts
from cooee.ports.blobs import Blobs
from cooee.ports.bots import Bots
from cooee.ports.clock import Clock
from cooee.ports.contacts import Contacts
from cooee.ports.credentials import Credentials
from cooee.ports.cursors import Cursors
from cooee.ports.device_keys import DeviceKeys
from cooee.ports.devices import Devices
from cooee.ports.groups import Groups
from cooee.ports.media import Media
from cooee.ports.media_inspector import MediaInspector
from cooee.ports.message_log import MessageLog
from cooee.ports.preferences import Preferences
from cooee.ports.presence import Presence
from cooee.ports.push_queue import PushQueue
from cooee.ports.push_sender import PushSender
from cooee.ports.push_targets import PushTargets
from cooee.ports.retention import Retention
from cooee.ports.router import Router
from cooee.ports.sessions import Sessions
from cooee.ports.timeline import Timeline
from cooee.ports.to_device import ToDevice
from cooee.ports.webhook_sender import WebhookSender
from cooee.ports.webhooks import Webhooks


class Store(Protocol):
    """The durable ports by name, as a store offers them; it opens and closes them together."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def device_keys(self) -> DeviceKeys: ...
    @property
    def bots(self) -> Bots: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def contacts(self) -> Contacts: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def credentials(self) -> Credentials: ...
    @property
    def message_log(self) -> MessageLog: ...
    @property
    def media(self) -> Media: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def cursors(self) -> Cursors: ...
    @property
    def groups(self) -> Groups: ...
    @property
    def to_device(self) -> ToDevice: ...
    @property
    def push_queue(self) -> PushQueue: ...
    @property
    def push_targets(self) -> PushTargets: ...
    @property
    def retention(self) -> Retention: ...


class Live(NamedTuple):
    """The soft ports, which hold nothing that may not be lost at any moment, and the ways out."""

    sessions: Sessions
    router: Router
    presence: Presence
    webhook_sender: WebhookSender
    blobs: Blobs
    push_senders: Mapping[str, PushSender] = MappingProxyType({})
    inspector: MediaInspector | None = None


class Ports(NamedTuple):
    """Everything that is stored, routed or timed."""

    accounts: Accounts
    devices: Devices
    device_keys: DeviceKeys
    bots: Bots
    webhooks: Webhooks
    contacts: Contacts
    preferences: Preferences
    credentials: Credentials
    log: MessageLog
    media: Media
    timeline: Timeline
    cursors: Cursors
    groups: Groups
    to_device: ToDevice
    push_queue: PushQueue
    push_targets: PushTargets
    retention: Retention
    sessions: Sessions
    router: Router
    presence: Presence
    webhook_sender: WebhookSender
    blobs: Blobs
    push_senders: Mapping[str, PushSender]
    inspector: MediaInspector | None
    clock: Clock

    @classmethod
    def of(cls, store: Store, live: Live, clock: Clock) -> "Ports":
        """Return the ports of a store with what is soft beside it."""
        return cls(
            accounts=store.accounts,
            devices=store.devices,
            device_keys=store.device_keys,
            bots=store.bots,
            webhooks=store.webhooks,
            contacts=store.contacts,
            preferences=store.preferences,
            credentials=store.credentials,
            log=store.message_log,
            media=store.media,
            timeline=store.timeline,
            cursors=store.cursors,
            groups=store.groups,
            to_device=store.to_device,
            push_queue=store.push_queue,
            push_targets=store.push_targets,
            retention=store.retention,
            sessions=live.sessions,
            router=live.router,
            presence=live.presence,
            webhook_sender=live.webhook_sender,
            blobs=live.blobs,
            push_senders=live.push_senders,
            inspector=live.inspector,
            clock=clock,
        )
