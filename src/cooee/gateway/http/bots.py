"""Routes of bots and their tokens (PROTOCOL.md §16)."""

import msgspec

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import is_user_id
from cooee.domain.scopes import Scope, granted
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.ports.accounts import Account
from cooee.ports.devices import Device
from cooee.protocol import bots, http

_Call = Call[HttpServices]


def as_bot(account: Account) -> bots.Bot:
    """Return a bot as its owner sees it."""
    return bots.Bot(
        account.user_id,
        account.display_name or account.user_id,
        account.about,
        account.owner_id,
        account.created_at,
        account.disabled,
    )


def as_token(token: Device) -> bots.BotToken:
    """Return a token as the bot's owner sees it."""
    return bots.BotToken(
        token.device_id, token.name, granted(token.scopes), token.created_at, token.last_seen, token.expires_at
    )


def as_new_token(secret: str, token: Device) -> bots.NewBotToken:
    """Return a new token, the only time that it is shown."""
    return bots.NewBotToken(**msgspec.structs.asdict(as_token(token)), token=secret)


async def create_bot(call: _Call) -> bots.Bot:
    """Make a bot."""
    wanted: bots.CreateBot = call.body
    return as_bot(await call.services.bots.create(call.caller.user_id, wanted.user_id, wanted.display_name))


async def list_bots(call: _Call) -> http.Page[bots.Bot]:
    """List the own bots."""
    query: PageQuery = call.query
    after = from_cursor(query.cursor, is_user_id)
    found = await call.services.bots.page(call.caller.user_id, after, query.size + 1)
    return page_of([as_bot(bot) for bot in found], query.size, lambda bot: bot.user_id)


async def get_bot(call: _Call) -> bots.Bot:
    """Return an own bot."""
    return as_bot(await call.services.bots.get(call.caller.user_id, call.path["botId"]))


async def patch_bot(call: _Call) -> bots.Bot:
    """Change an own bot."""
    return as_bot(await call.services.bots.change(call.caller.user_id, call.path["botId"], call.body))


async def delete_bot(call: _Call) -> None:
    """End an own bot."""
    await call.services.bots.delete(call.caller.user_id, call.path["botId"])


async def create_bot_token(call: _Call) -> bots.NewBotToken:
    """Make a token."""
    wanted: bots.CreateBotToken = call.body
    made = await call.services.bots.create_token(
        call.caller.user_id, call.path["botId"], wanted.name, wanted.scopes, wanted.expires_at
    )
    return as_new_token(*made)


async def list_bot_tokens(call: _Call) -> http.Page[bots.BotToken]:
    """List a bot's tokens: few enough for one page."""
    found = await call.services.bots.tokens(call.caller.user_id, call.path["botId"])
    return http.Page(tuple(as_token(token) for token in found))


async def revoke_bot_token(call: _Call) -> None:
    """End a token."""
    await call.services.bots.revoke_token(call.caller.user_id, call.path["botId"], call.path["tokenId"])


_ONE = "/v1/bots/{botId}"
_TOKENS = f"{_ONE}/tokens"
_CHANGES = "bot_changes"
_GONE = (ErrorCode.NOT_FOUND,)

ROUTES = (
    Route(
        method="POST",
        path="/v1/bots",
        endpoint=create_bot,
        summary="Make a bot: an account without a password, used by tokens.",
        tag="bots",
        needs=Scope.PERSON,
        status=201,
        request=bots.CreateBot,
        response=bots.Bot,
        limit="bots_made",
        errors=(ErrorCode.CONFLICT, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path="/v1/bots",
        endpoint=list_bots,
        summary="List the own bots by userId.",
        tag="bots",
        needs=Scope.PERSON,
        query=PageQuery,
        response=http.Page[bots.Bot],
    ),
    Route(
        method="GET",
        path=_ONE,
        endpoint=get_bot,
        summary="An own bot.",
        tag="bots",
        needs=Scope.PERSON,
        response=bots.Bot,
        errors=_GONE,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        endpoint=patch_bot,
        summary="Change an own bot's profile and privacy settings; what is left out stays.",
        tag="bots",
        needs=Scope.PERSON,
        request=http.PatchMe,
        response=bots.Bot,
        limit=_CHANGES,
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        endpoint=delete_bot,
        summary="End an own bot with all its data; its name is never given again.",
        tag="bots",
        needs=Scope.PERSON,
        status=204,
        limit=_CHANGES,
        errors=_GONE,
    ),
    Route(
        method="POST",
        path=_TOKENS,
        endpoint=create_bot_token,
        summary="Make a token of an own bot, shown once.",
        tag="bots",
        needs=Scope.PERSON,
        status=201,
        request=bots.CreateBotToken,
        response=bots.NewBotToken,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path=_TOKENS,
        endpoint=list_bot_tokens,
        summary="List an own bot's tokens, oldest first.",
        tag="bots",
        needs=Scope.PERSON,
        response=http.Page[bots.BotToken],
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path=f"{_TOKENS}/{{tokenId}}",
        endpoint=revoke_bot_token,
        summary="Revoke a token of an own bot; its sockets close with 4003.",
        tag="bots",
        needs=Scope.PERSON,
        status=204,
        limit=_CHANGES,
        errors=_GONE,
    ),
)
