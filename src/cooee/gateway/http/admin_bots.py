"""The operator's routes of bots: those of the server itself, and tokens of every bot."""

from typing import Protocol

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import is_user_id
from cooee.gateway.http.bots import as_bot, as_new_token, as_token
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Auth, Call, Route
from cooee.protocol import bots, http
from cooee.services.bots import BotService


class HasBots(Protocol):
    """What these routes need of the services of administration."""

    @property
    def bots(self) -> BotService:
        """The use cases of bots."""
        ...


_Call = Call[HasBots]


async def create_bot(call: _Call) -> bots.Bot:
    """Make a bot of the server's own."""
    wanted: bots.CreateBot = call.body
    return as_bot(await call.services.bots.create(None, wanted.user_id, wanted.display_name))


async def list_bots(call: _Call) -> http.Page[bots.Bot]:
    """List all bots."""
    query: PageQuery = call.query
    found = await call.services.bots.page(None, from_cursor(query.cursor, is_user_id), query.size + 1)
    return page_of([as_bot(bot) for bot in found], query.size, lambda bot: bot.user_id)


async def create_bot_token(call: _Call) -> bots.NewBotToken:
    """Make a token of any bot."""
    wanted: bots.CreateBotToken = call.body
    made = await call.services.bots.create_token(
        None, call.path["botId"], wanted.name, wanted.scopes, wanted.expires_at
    )
    return as_new_token(*made)


async def list_bot_tokens(call: _Call) -> http.Page[bots.BotToken]:
    """List the tokens of any bot."""
    return http.Page(tuple(as_token(token) for token in await call.services.bots.tokens(None, call.path["botId"])))


async def revoke_bot_token(call: _Call) -> None:
    """End a token of any bot."""
    await call.services.bots.revoke_token(None, call.path["botId"], call.path["tokenId"])


_BOTS = "/v1/admin/bots"
_TOKENS = f"{_BOTS}/{{botId}}/tokens"
_GONE = (ErrorCode.NOT_FOUND,)

ROUTES = (
    Route(
        method="POST",
        path=_BOTS,
        endpoint=create_bot,
        summary="Make a bot that belongs to the server itself.",
        tag="admin",
        auth=Auth.OPERATOR,
        status=201,
        request=bots.CreateBot,
        response=bots.Bot,
        errors=(ErrorCode.CONFLICT,),
    ),
    Route(
        method="GET",
        path=_BOTS,
        endpoint=list_bots,
        summary="List all bots by userId.",
        tag="admin",
        auth=Auth.OPERATOR,
        query=PageQuery,
        response=http.Page[bots.Bot],
    ),
    Route(
        method="POST",
        path=_TOKENS,
        endpoint=create_bot_token,
        summary="Make a token of a bot, shown once.",
        tag="admin",
        auth=Auth.OPERATOR,
        status=201,
        request=bots.CreateBotToken,
        response=bots.NewBotToken,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path=_TOKENS,
        endpoint=list_bot_tokens,
        summary="List a bot's tokens, oldest first.",
        tag="admin",
        auth=Auth.OPERATOR,
        response=http.Page[bots.BotToken],
        errors=_GONE,
    ),
    Route(
        method="DELETE",
        path=f"{_TOKENS}/{{tokenId}}",
        endpoint=revoke_bot_token,
        summary="Revoke a token of a bot.",
        tag="admin",
        auth=Auth.OPERATOR,
        status=204,
        errors=_GONE,
    ),
)
