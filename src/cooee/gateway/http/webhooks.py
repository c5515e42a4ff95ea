"""Routes of outgoing webhooks (PROTOCOL.md §17)."""

from functools import partial
from typing import Any

import msgspec

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import Scope
from cooee.domain.webhooks import Verdict
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.ports.webhooks import DeadLetter, Webhook
from cooee.protocol import http, webhooks
from cooee.protocol.webhook_signature import encode_secret

_Call = Call[HttpServices]
_MAX_NUMBER = 18
"""Digits of a dead letter's number in a cursor."""


def as_webhook(webhook: Webhook) -> webhooks.Webhook:
    """Return a webhook as its bot's owner sees it."""
    batch = webhook.batch
    return webhooks.Webhook(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        events=webhook.events,
        enabled=not webhook.disabled_because,
        disabled_because=webhook.disabled_because,
        created_at=webhook.created_at,
        delivered_at=webhook.delivered_at,
        error=webhook.error,
        error_at=webhook.error_at,
        attempts=0 if batch is None else batch.attempts,
        next_attempt_at=0 if batch is None or webhook.disabled_because else batch.next_at,
        dead_letters=webhook.dead_letters,
        former_secret_until=webhook.former_until,
    )


def _with_secret(webhook: Webhook) -> webhooks.WebhookWithSecret:
    seen = msgspec.structs.asdict(as_webhook(webhook))
    return webhooks.WebhookWithSecret(**seen, secret=encode_secret(webhook.secret))


def _as_letter(letter: DeadLetter) -> webhooks.DeadLetter:
    messages = tuple(webhooks.DeadPart(part.conversation_id, part.first, part.last) for part in letter.parts)
    return webhooks.DeadLetter(
        letter.letter_id, letter.died_at, letter.attempts, letter.error, letter.requested, messages
    )


def _named(call: _Call) -> tuple[str, DeviceRef]:
    """Return who asks, and for which webhook."""
    return call.caller.user_id, DeviceRef(call.path["botId"], call.path["webhookId"])


async def create_webhook(call: _Call) -> webhooks.WebhookWithSecret:
    """Make a webhook."""
    wanted: webhooks.CreateWebhook = call.body
    made = await call.services.webhooks.create(call.caller.user_id, call.path["botId"], wanted.url, wanted.events)
    return _with_secret(made)


async def list_webhooks(call: _Call) -> http.Page[webhooks.Webhook]:
    """List a bot's webhooks: few enough for one page."""
    found = await call.services.webhooks.of_bot(call.caller.user_id, call.path["botId"])
    return http.Page(tuple(map(as_webhook, found)))


async def get_webhook(call: _Call) -> webhooks.Webhook:
    """Return a webhook."""
    return as_webhook(await call.services.webhooks.get(*_named(call)))


async def patch_webhook(call: _Call) -> webhooks.Webhook:
    """Change a webhook."""
    return as_webhook(await call.services.webhooks.change(*_named(call), call.body))


async def delete_webhook(call: _Call) -> None:
    """End a webhook."""
    await call.services.webhooks.delete(*_named(call))


async def test_webhook(call: _Call) -> webhooks.WebhookTested:
    """Send a request without events."""
    outcome = await call.services.webhooks.test(*_named(call))
    return webhooks.WebhookTested(outcome.verdict is Verdict.DELIVERED, outcome.status, outcome.error)


async def rotate_webhook(call: _Call) -> webhooks.WebhookWithSecret:
    """Replace a webhook's secret."""
    return _with_secret(await call.services.webhooks.rotate(*_named(call)))


async def list_dead_letters(call: _Call) -> http.Page[webhooks.DeadLetter]:
    """List a webhook's dead letters, newest first."""
    query: PageQuery = call.query
    before = int(from_cursor(query.cursor, _is_number) or 0)
    found = await call.services.webhooks.dead_letters(*_named(call), before, query.size + 1)
    page = page_of(found, query.size, lambda letter: str(letter.number))
    return http.Page(tuple(map(_as_letter, page.items)), page.next_cursor)


async def retry_dead_letter(call: _Call) -> webhooks.Retrying:
    """Try a dead letter once more."""
    return webhooks.Retrying(await call.services.webhooks.retry(*_named(call), call.path["letterId"]))


async def retry_dead_letters(call: _Call) -> webhooks.Retrying:
    """Try all dead letters once more."""
    return webhooks.Retrying(await call.services.webhooks.retry(*_named(call), None))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_NUMBER


_ALL = "/v1/bots/{botId}/webhooks"
_ONE = f"{_ALL}/{{webhookId}}"
_DEAD = f"{_ONE}/dead-letters"
_CHANGES = "bot_changes"
_GONE = (ErrorCode.NOT_FOUND,)
_READS = (Scope.MESSAGES_READ,)
"""Who says where messages are sent can read them."""
_route: Any = partial(Route, tag="webhooks", needs=Scope.WEBHOOKS)

ROUTES: tuple[Route, ...] = (
    _route(
        method="POST",
        path=_ALL,
        endpoint=create_webhook,
        needs_too=_READS,
        summary="Make an outgoing webhook of a bot; its secret is shown once.",
        status=201,
        request=webhooks.CreateWebhook,
        response=webhooks.WebhookWithSecret,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.TOO_LARGE),
    ),
    _route(
        method="GET",
        path=_ALL,
        endpoint=list_webhooks,
        summary="List a bot's outgoing webhooks, oldest first.",
        response=http.Page[webhooks.Webhook],
        errors=_GONE,
    ),
    _route(
        method="GET",
        path=_ONE,
        endpoint=get_webhook,
        summary="An outgoing webhook, with its last error and next attempt.",
        response=webhooks.Webhook,
        errors=_GONE,
    ),
    _route(
        method="PATCH",
        path=_ONE,
        endpoint=patch_webhook,
        needs_too=_READS,
        summary="Change an outgoing webhook; what is left out stays, and what failed is tried again at once.",
        request=webhooks.PatchWebhook,
        response=webhooks.Webhook,
        limit=_CHANGES,
        errors=_GONE,
    ),
    _route(
        method="DELETE",
        path=_ONE,
        endpoint=delete_webhook,
        summary="End an outgoing webhook with its dead letters.",
        status=204,
        limit=_CHANGES,
        errors=_GONE,
    ),
    _route(
        method="POST",
        path=f"{_ONE}/test",
        endpoint=test_webhook,
        summary="Send one signed request without events, now; tell what came of it.",
        response=webhooks.WebhookTested,
        limit=_CHANGES,
        errors=_GONE,
    ),
    _route(
        method="POST",
        path=f"{_ONE}/rotate",
        endpoint=rotate_webhook,
        summary="Replace a webhook's secret; the former one signs beside it for 24 hours.",
        response=webhooks.WebhookWithSecret,
        limit=_CHANGES,
        errors=_GONE,
    ),
    _route(
        method="GET",
        path=_DEAD,
        endpoint=list_dead_letters,
        summary="List what a webhook gave up, newest first.",
        query=PageQuery,
        response=http.Page[webhooks.DeadLetter],
        errors=_GONE,
    ),
    _route(
        method="POST",
        path=f"{_DEAD}/retry",
        endpoint=retry_dead_letters,
        summary="Try all dead letters of a webhook once more.",
        status=202,
        response=webhooks.Retrying,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    _route(
        method="POST",
        path=f"{_DEAD}/{{letterId}}/retry",
        endpoint=retry_dead_letter,
        summary="Try a dead letter once more.",
        status=202,
        response=webhooks.Retrying,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
)
