"""Outgoing webhooks on the wire: what a receiver is sent, and the bodies of their routes (PROTOCOL.md §17)."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from cooee.domain.webhooks import Event

_URL = "Where requests go: https, or http where the server allows it."
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048, description=_URL)]
Events = Annotated[tuple[Event, ...], msgspec.Meta(min_length=1, max_length=3)]


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of all bodies."""


class _Request(_Body, omit_defaults=True, frozen=True):
    """Base of request bodies: what has its default is not sent."""


class Delivery(_Body, frozen=True):
    """The body of a request to a receiver. ``type`` is ``events``, or ``test`` with no events.

    ``events`` are frames as a session gets them (§4), in order per conversation; so far all are ``message``.
    """

    type: str
    bot_id: str
    webhook_id: str
    events: tuple[msgspec.Raw, ...]


class CreateWebhook(_Request, frozen=True):
    """``POST /v1/bots/{botId}/webhooks``. ``events``: what it is told of; messages of others when left out."""

    url: Url
    events: Events = ("message",)


class PatchWebhook(_Request, frozen=True):
    """``PATCH /v1/bots/{botId}/webhooks/{webhookId}``: what is left out stays; enabling goes on where it ended."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Webhook(_Body, frozen=True):
    """An outgoing webhook as its bot's owner sees it. Times in ms, 0: never or not.

    ``disabledBecause`` says why it is not enabled. ``error`` is that of the last attempt, empty after a success;
    ``attempts`` and ``nextAttemptAt`` are those of the request that is on its way. ``deadLetters``: how many are kept.
    """

    webhook_id: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    disabled_because: str
    created_at: int
    delivered_at: int
    error: str
    error_at: int
    attempts: int
    next_attempt_at: int
    dead_letters: int
    former_secret_until: int


class WebhookWithSecret(Webhook, frozen=True):
    """A webhook that was made, or whose secret was replaced. ``secret`` is shown once; see Standard Webhooks."""

    secret: str


class WebhookTested(_Body, frozen=True):
    """What came of a test request. ``status`` 0: there was no answer."""

    delivered: bool
    status: int
    error: str


class DeadPart(_Body, frozen=True):
    """Messages ``first`` to ``last`` of a conversation."""

    conversation_id: str
    first: int
    last: int


class DeadLetter(_Body, frozen=True):
    """A request that was given up: the messages that it would have brought. ``retrying``: one more attempt is due."""

    letter_id: str
    died_at: int
    attempts: int
    error: str
    retrying: bool
    messages: tuple[DeadPart, ...]


class Retrying(_Body, frozen=True):
    """How many dead letters are tried once more."""

    letters: int
