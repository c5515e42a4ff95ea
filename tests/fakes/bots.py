"""Bots in tests of the HTTP API: made by their owner, used by their token."""

from tests.fakes.asgi import AsgiClient

EVERY_SCOPE = ("messages:read", "messages:write", "groups:write", "profile:write", "contacts", "webhooks")


async def make_bot(
    owner: AsgiClient, bot_id: str = "echo", scopes: tuple[str, ...] = EVERY_SCOPE, expires_at: int = 0
) -> AsgiClient:
    """Make a bot of the owner's with one token, and return the client that has it."""
    made = await owner.request("POST", "/v1/bots", {"userId": bot_id})
    assert made.status == 201, made.body
    return owner.having(await make_token(owner, bot_id, scopes, expires_at))


async def make_token(
    owner: AsgiClient, bot_id: str = "echo", scopes: tuple[str, ...] = EVERY_SCOPE, expires_at: int = 0
) -> str:
    """Return a new token of a bot."""
    body = {"name": "test", "scopes": scopes, "expiresAt": expires_at}
    made = await owner.request("POST", f"/v1/bots/{bot_id}/tokens", body)
    assert made.status == 201, made.body
    return str(made.json["token"])


async def make_hook(owner: AsgiClient, conversation_id: str = "dm:alice:echo", bot_id: str = "echo") -> tuple[str, str]:
    """Return the id and the path of a new incoming webhook."""
    body = {"name": "test", "conversationId": conversation_id}
    made = await owner.request("POST", f"/v1/bots/{bot_id}/incoming", body)
    assert made.status == 201, made.body
    return str(made.json["hookId"]), str(made.json["path"])


async def texts(reader: AsgiClient, conversation_id: str = "dm:alice:echo") -> list[str]:
    """Return the texts of a conversation."""
    page = await reader.request("GET", f"/v1/conversations/{conversation_id}/messages?after=0")
    assert page.status == 200, page.body
    return [message["content"] for message in page.json["messages"] if message["contentType"] == "text"]
