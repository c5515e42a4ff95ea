"""Everything that the server offers can be reached from the command line, or it is said why not.

Who adds a route or a frame adds a line here: the command that uses it, or the reason why none does.
"""

import typing

import msgspec
import pytest

from cooee.gateway.http.admin import ADMIN_ROUTES
from cooee.gateway.http.table import ROUTES
from cooee.protocol import frames
from tests.unit.cli.test_document import LEAVES

COMMANDS: dict[str, str] = {
    "POST /v1/accounts": "cooee register",
    "POST /v1/sessions": "cooee login",
    "GET /v1/sessions/current": "cooee whoami",
    "DELETE /v1/sessions/current": "cooee logout",
    "GET /v1/devices": "cooee devices list",
    "DELETE /v1/devices/{deviceId}": "cooee devices revoke",
    "PUT /v1/users/{userId}/device-list": "cooee devices link",
    "PUT /v1/conversations/{conversationId}/encryption": "cooee conversations plain",
    "PUT /v1/me/password": "cooee account password",
    "DELETE /v1/me": "cooee account delete",
    "GET /v1/me/export": "cooee account export",
    "POST /v1/me/recovery-codes": "cooee account recovery-codes",
    "POST /v1/recover": "cooee account recover",
    "GET /v1/me": "cooee profile show",
    "PATCH /v1/me": "cooee profile set",
    "GET /v1/users/{userId}": "cooee users show",
    "GET /v1/users": "cooee users search",
    "PUT /v1/contacts/{userId}": "cooee contacts add",
    "DELETE /v1/contacts/{userId}": "cooee contacts remove",
    "GET /v1/contacts": "cooee contacts list",
    "PUT /v1/blocks/{userId}": "cooee blocks add",
    "DELETE /v1/blocks/{userId}": "cooee blocks remove",
    "GET /v1/blocks": "cooee blocks list",
    "GET /v1/conversations": "cooee conversations list",
    "GET /v1/conversations/{conversationId}": "cooee history",
    "PATCH /v1/conversations/{conversationId}": "cooee conversations mute",
    "GET /v1/conversations/{conversationId}/messages": "cooee export",
    "GET /v1/conversations/{conversationId}/receipts": "cooee receipts",
    "DELETE /v1/conversations/{conversationId}/messages/{sequenceNumber}": "cooee delete",
    "POST /v1/messages": "cooee send",
    "POST /v1/groups": "cooee groups create",
    "GET /v1/groups/{conversationId}": "cooee groups show",
    "PATCH /v1/groups/{conversationId}": "cooee groups rename",
    "DELETE /v1/groups/{conversationId}": "cooee groups delete",
    "POST /v1/groups/{conversationId}/members": "cooee groups add",
    "DELETE /v1/groups/{conversationId}/members/{userId}": "cooee groups remove",
    "PUT /v1/groups/{conversationId}/members/{userId}/role": "cooee groups role",
    "POST /v1/groups/{conversationId}/invite": "cooee groups invite",
    "DELETE /v1/groups/{conversationId}/invite": "cooee groups invite",
    "POST /v1/join": "cooee groups join",
    "POST /v1/bots": "cooee bots create",
    "GET /v1/bots": "cooee bots list",
    "GET /v1/bots/{botId}": "cooee bots show",
    "PATCH /v1/bots/{botId}": "cooee bots rename",
    "DELETE /v1/bots/{botId}": "cooee bots delete",
    "POST /v1/bots/{botId}/tokens": "cooee bots tokens create",
    "GET /v1/bots/{botId}/tokens": "cooee bots tokens list",
    "DELETE /v1/bots/{botId}/tokens/{tokenId}": "cooee bots tokens revoke",
    "POST /v1/bots/{botId}/incoming": "cooee bots incoming create",
    "GET /v1/bots/{botId}/incoming": "cooee bots incoming list",
    "POST /v1/bots/{botId}/incoming/{hookId}/rotate": "cooee bots incoming rotate",
    "DELETE /v1/bots/{botId}/incoming/{hookId}": "cooee bots incoming delete",
    "POST /v1/bots/{botId}/webhooks": "cooee bots webhooks create",
    "GET /v1/bots/{botId}/webhooks": "cooee bots webhooks list",
    "GET /v1/bots/{botId}/webhooks/{webhookId}": "cooee bots webhooks show",
    "PATCH /v1/bots/{botId}/webhooks/{webhookId}": "cooee bots webhooks update",
    "DELETE /v1/bots/{botId}/webhooks/{webhookId}": "cooee bots webhooks delete",
    "POST /v1/bots/{botId}/webhooks/{webhookId}/test": "cooee bots webhooks test",
    "POST /v1/bots/{botId}/webhooks/{webhookId}/rotate": "cooee bots webhooks rotate",
    "GET /v1/bots/{botId}/webhooks/{webhookId}/dead-letters": "cooee bots webhooks dead",
    "POST /v1/bots/{botId}/webhooks/{webhookId}/dead-letters/retry": "cooee bots webhooks retry",
    "POST /v1/bots/{botId}/webhooks/{webhookId}/dead-letters/{letterId}/retry": "cooee bots webhooks retry",
    "POST /v1/media/uploads": "cooee send",
    "POST /v1/media/{mediaKey}/complete": "cooee send",
    "GET /v1/media/{mediaKey}": "cooee download",
    "PUT /v1/push/subscription": "cooee push set",
    "GET /v1/push/subscription": "cooee push show",
    "DELETE /v1/push/subscription": "cooee push remove",
    "POST /v1/admin/users/{userId}/push-test": "cooee admin push test",
    "POST /v1/admin/bots": "cooee admin bots create",
    "GET /v1/admin/bots": "cooee admin bots list",
    "POST /v1/admin/bots/{botId}/tokens": "cooee admin bots tokens create",
    "GET /v1/admin/bots/{botId}/tokens": "cooee admin bots tokens list",
    "DELETE /v1/admin/bots/{botId}/tokens/{tokenId}": "cooee admin bots tokens revoke",
    "GET /v1/admin/users": "cooee admin users list",
    "POST /v1/admin/users": "cooee admin users create",
    "POST /v1/admin/users/bulk": "cooee bench pairs",
    "POST /v1/admin/users/{userId}/disable": "cooee admin users disable",
    "POST /v1/admin/users/{userId}/enable": "cooee admin users enable",
    "DELETE /v1/admin/users/{userId}": "cooee admin users delete",
    "PUT /v1/admin/users/{userId}/password": "cooee admin users reset-password",
    "POST /v1/admin/invites": "cooee admin invites create",
    "POST /v1/admin/drain": "cooee admin drain",
    "GET /v1/admin/stats": "cooee admin stats",
    "PUT /v1/admin/log-level": "cooee admin log-level",
    "POST /v1/admin/backup": "cooee admin backup",
    "GET /v1/admin/backup": "cooee admin backup",
    "GET /readyz": "cooee admin doctor",
}
"""The command that uses a route; one of them where there are several."""

NOT_FOR_PEOPLE: dict[str, str] = {
    "POST /v1/hooks/{hookId}/{secret}": "for what posts by an incoming webhook: a build server, a script with curl",
    "POST /v1/poll": "the SDK's way where no WebSocket gets through; `listen` and `chat` take it by themselves",
    "GET /healthz": "for what watches the process: a container's health check",
    "GET /metrics": "for Prometheus; `cooee admin stats` shows the figures to people",
    "PUT /v1/keys": "the SDK publishes and refills a device's keys by itself",
    "GET /v1/keys/status": "the SDK asks how many are left",
    "POST /v1/keys/claim": "the SDK claims keys where it begins a session",
    "GET /v1/users/{userId}/device-list": "the SDK looks its own up",
    "POST /v1/device-lists": "the SDK looks up whom a message is for",
    "GET /v1/push/vapid-key": "what a page needs before its browser can subscribe",
    "GET /": "a page for browsers",
    "GET /v1/openapi.json": "for those who write clients",
    "GET /v1/asyncapi.json": "for those who write clients",
}
"""Routes that no command uses, and why."""

FRAMES: dict[str, str] = {
    "hello": "cooee listen",
    "send": "cooee send",
    "received": "cooee listen",
    "read": "cooee read",
    "fetch": "cooee chat",
    "watermarks": "cooee listen",
    "presence.subscribe": "cooee listen",
    "presence.unsubscribe": "cooee chat",
    "typing": "cooee chat",
    "to_device.received": "cooee listen",
    "ping": "cooee listen",
}
"""The command that says a frame."""

FRAMES_NOT_FOR_PEOPLE: dict[str, str] = {
    "to_device": "carries keys from device to device, sealed; the SDK says it by itself"
}


def offered() -> set[str]:
    """Return every route of the server, the operator's too."""
    return {f"{route.method} {route.path}" for route in (*ROUTES, *ADMIN_ROUTES)}


def test_every_route_has_a_command_or_a_reason() -> None:
    assert set(COMMANDS) | set(NOT_FOR_PEOPLE) == offered()
    assert not set(COMMANDS) & set(NOT_FOR_PEOPLE)


def test_every_frame_has_a_command_or_a_reason() -> None:
    said = {str(msgspec.inspect.type_info(frame).tag) for frame in typing.get_args(frames.ClientFrame)}  # type: ignore[attr-defined]
    assert set(FRAMES) | set(FRAMES_NOT_FOR_PEOPLE) == said
    assert not set(FRAMES) & set(FRAMES_NOT_FOR_PEOPLE)


@pytest.mark.parametrize("command", sorted({*COMMANDS.values(), *FRAMES.values()}))
def test_the_commands_are_there(command: str) -> None:
    assert command in LEAVES
