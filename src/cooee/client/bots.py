"""The operations of bots, their tokens and their incoming webhooks (PROTOCOL.md §16)."""

from collections.abc import Sequence

from cooee.client.calls import Calls, part
from cooee.protocol import bots as bodies
from cooee.protocol import http

DEFAULT_SCOPES = ("messages:read", "messages:write")


class BotsApi(Calls):
    """What the owner of bots may do; incoming webhooks also the bot itself, with the scope ``webhooks``.

    To make one and to rotate it takes ``messages:write`` as well: whoever has its path can post.
    """

    async def create_bot(self, user_id: str, *, display_name: str = "") -> bodies.Bot:
        """Make a bot; ``conflict`` when the name is taken, ``too_large`` when there are as many as there may be."""
        return await self._call("POST", "/v1/bots", bodies.Bot, bodies.CreateBot(user_id, display_name))

    async def bots(self) -> Sequence[bodies.Bot]:
        """List the own bots."""
        return await self._all("/v1/bots", bodies.Bot)

    async def bot(self, bot_id: str) -> bodies.Bot:
        """Return an own bot."""
        return await self._call("GET", _bot(bot_id), bodies.Bot)

    async def update_bot(self, bot_id: str, changes: http.PatchMe) -> bodies.Bot:
        """Change an own bot's profile or privacy choices."""
        return await self._call("PATCH", _bot(bot_id), bodies.Bot, changes)

    async def delete_bot(self, bot_id: str) -> None:
        """End an own bot with all its data. There is no way back."""
        await self._do("DELETE", _bot(bot_id))

    async def create_bot_token(
        self, bot_id: str, name: str, scopes: Sequence[str] = DEFAULT_SCOPES, *, expires_at: int = 0
    ) -> bodies.NewBotToken:
        """Make a token of an own bot; it is told only now. ``expires_at`` in ms, 0: never."""
        body = bodies.CreateBotToken(name, tuple(scopes), expires_at)
        return await self._call("POST", f"{_bot(bot_id)}/tokens", bodies.NewBotToken, body)

    async def bot_tokens(self, bot_id: str) -> Sequence[bodies.BotToken]:
        """List the tokens of an own bot."""
        return await self._all(f"{_bot(bot_id)}/tokens", bodies.BotToken)

    async def revoke_bot_token(self, bot_id: str, token_id: str) -> None:
        """End a token at once; its connections are closed."""
        await self._do("DELETE", f"{_bot(bot_id)}/tokens/{part(token_id)}")

    async def create_incoming_hook(self, bot_id: str, name: str, conversation_id: str) -> bodies.NewIncomingHook:
        """Make an incoming webhook; its path, which is a secret, is told only now."""
        body = bodies.CreateIncomingHook(name, conversation_id)
        return await self._call("POST", f"{_bot(bot_id)}/incoming", bodies.NewIncomingHook, body)

    async def incoming_hooks(self, bot_id: str) -> Sequence[bodies.IncomingHook]:
        """List the incoming webhooks of a bot."""
        return await self._all(f"{_bot(bot_id)}/incoming", bodies.IncomingHook)

    async def rotate_incoming_hook(self, bot_id: str, hook_id: str) -> bodies.NewIncomingHook:
        """Give an incoming webhook another path; the former one is void at once."""
        path = f"{_bot(bot_id)}/incoming/{part(hook_id)}/rotate"
        return await self._call("POST", path, bodies.NewIncomingHook)

    async def delete_incoming_hook(self, bot_id: str, hook_id: str) -> None:
        """End an incoming webhook."""
        await self._do("DELETE", f"{_bot(bot_id)}/incoming/{part(hook_id)}")

    async def post_to_hook(self, path: str, text: str, *, client_message_id: str = "") -> bodies.HookPosted:
        """Post by the ``path`` of an incoming webhook; no token is needed, and the path is no less a secret."""
        return await self._call("POST", path, bodies.HookPosted, bodies.HookPost(text, client_message_id))


def _bot(bot_id: str) -> str:
    return f"/v1/bots/{part(bot_id)}"
