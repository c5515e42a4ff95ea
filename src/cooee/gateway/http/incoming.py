"""Routes of incoming webhooks: kept by a bot's owner or the bot, used by whoever knows their path (PROTOCOL.md §16)."""

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import is_client_message_id
from cooee.domain.scopes import Scope
from cooee.gateway.http.parsing import decode_body, media_type
from cooee.gateway.http.route import Auth, Call, RawBody, Route
from cooee.gateway.http.services import HttpServices
from cooee.ports.bots import IncomingHook
from cooee.protocol import bots, http

_Call = Call[HttpServices]
_posts = msgspec.json.Decoder(bots.HookPost)
_HOW = 'send {"text": "…"} as application/json, or the text itself as text/plain'


def _seen(hook: IncomingHook) -> bots.IncomingHook:
    return bots.IncomingHook(hook.hook_id, hook.name, hook.conversation_id, hook.created_at, hook.last_used)


def _new(hook: IncomingHook, secret: str) -> bots.NewIncomingHook:
    path = f"/v1/hooks/{hook.hook_id}/{secret}"
    return bots.NewIncomingHook(**msgspec.structs.asdict(_seen(hook)), path=path)


async def create_incoming_hook(call: _Call) -> bots.NewIncomingHook:
    """Make an incoming webhook."""
    wanted: bots.CreateIncomingHook = call.body
    made = await call.services.incoming.create(
        call.caller.user_id, call.path["botId"], wanted.name, wanted.conversation_id
    )
    return _new(*made)


async def list_incoming_hooks(call: _Call) -> http.Page[bots.IncomingHook]:
    """List a bot's incoming webhooks: few enough for one page."""
    found = await call.services.incoming.of_bot(call.caller.user_id, call.path["botId"])
    return http.Page(tuple(_seen(hook) for hook in found))


async def rotate_incoming_hook(call: _Call) -> bots.NewIncomingHook:
    """Give a webhook another secret."""
    path = call.path
    return _new(*await call.services.incoming.rotate(call.caller.user_id, path["botId"], path["hookId"]))


async def delete_incoming_hook(call: _Call) -> None:
    """End a webhook."""
    await call.services.incoming.delete(call.caller.user_id, call.path["botId"], call.path["hookId"])


async def post_to_hook(call: _Call) -> bots.HookPosted:
    """Post as the bot."""
    incoming = call.services.incoming
    hook = await incoming.admit(call.address, call.path["hookId"], call.path["secret"])
    ack = await incoming.post(hook, *_read(call.body))
    return bots.HookPosted(
        ack.message_id or "", ack.client_message_id or "", ack.sequence_number or 0, ack.timestamp or 0
    )


def _read(body: RawBody) -> tuple[str, str]:
    """Return the text of a post and the id that makes it the same when it comes again.

    Raises:
        CooeeError: ``bad_frame``, saying what a post looks like.
    """
    kind = media_type(body.headers)
    if kind == "text/plain":
        text, given = _plain(body.payload), ""
    elif kind == "application/json":
        text, given = _json(body.payload)
    else:
        raise bad_frame(f"this format is not understood: {_HOW}")
    key = body.headers.get("idempotency-key", "").strip().strip('"')
    if key and given and key != given:
        raise bad_frame("Idempotency-Key and clientMessageId differ; give one of them")
    name = given or key
    if name and not is_client_message_id(name):
        raise bad_frame("Idempotency-Key has 1 to 64 characters and no control characters")
    return text, name


def _plain(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise bad_frame("the text must be in UTF-8") from None


def _json(payload: bytes) -> tuple[str, str]:
    try:
        post: bots.HookPost = decode_body(payload, _posts)
    except CooeeError as refusal:
        raise bad_frame(f"{refusal.message}: {_HOW}") from None
    return post.text, post.client_message_id


_ALL = "/v1/bots/{botId}/incoming"
_ONE = f"{_ALL}/{{hookId}}"
_CHANGES = "bot_changes"
_GONE = (ErrorCode.NOT_FOUND,)
_POSTS = (Scope.MESSAGES_WRITE,)
"""Who learns a webhook's path can post."""

ROUTES = (
    Route(
        method="POST",
        path=_ALL,
        endpoint=create_incoming_hook,
        summary="Make an incoming webhook; its path is shown once.",
        tag="bots",
        needs=Scope.WEBHOOKS,
        needs_too=_POSTS,
        status=201,
        request=bots.CreateIncomingHook,
        response=bots.NewIncomingHook,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path=_ALL,
        endpoint=list_incoming_hooks,
        summary="List a bot's incoming webhooks, oldest first.",
        tag="bots",
        needs=Scope.WEBHOOKS,
        response=http.Page[bots.IncomingHook],
        errors=_GONE,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/rotate",
        endpoint=rotate_incoming_hook,
        summary="Give an incoming webhook another path; the former one is void at once.",
        tag="bots",
        needs=Scope.WEBHOOKS,
        needs_too=_POSTS,
        response=bots.NewIncomingHook,
        limit=_CHANGES,
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        endpoint=delete_incoming_hook,
        summary="End an incoming webhook.",
        tag="bots",
        needs=Scope.WEBHOOKS,
        status=204,
        limit=_CHANGES,
        errors=_GONE,
    ),
    Route(
        method="POST",
        path="/v1/hooks/{hookId}/{secret}",
        endpoint=post_to_hook,
        summary="Post as a bot into the webhook's conversation. The body may also be text/plain.",
        tag="bots",
        auth=Auth.NOBODY,
        raw=True,
        body_limit="hook_body_bytes",
        request=bots.HookPost,
        response=bots.HookPosted,
        limit="hook_posts",
        errors=_GONE,
    ),
)
