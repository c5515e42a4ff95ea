"""The bodies of bots, their tokens and their incoming webhooks (PROTOCOL.md §16)."""

from typing import Annotated, Any

import msgspec

from cooee.protocol.frames import Number


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of all bodies."""


class _Request(_Body, omit_defaults=True, frozen=True):
    """Base of request bodies: what has its default is not sent."""


def _text(low: int, high: int, description: str) -> Any:
    return msgspec.Meta(min_length=low, max_length=high, description=description)


Name = Annotated[str, _text(1, 64, "How its owner tells it from others.")]


class Bot(_Body, frozen=True):
    """A bot as its owner sees it; an empty ``ownerId``: the server's own. Times in ms."""

    user_id: str
    display_name: str
    about: str
    owner_id: str
    created_at: int
    disabled: bool


class CreateBot(_Request, frozen=True):
    """``POST /v1/bots``."""

    user_id: Annotated[str, _text(1, 64, "The bot's name, as of any account.")]
    display_name: Annotated[str, _text(0, 256, "How people see the bot; the userId when empty.")] = ""


class BotToken(_Body, frozen=True):
    """A token of a bot. ``expiresAt`` in ms, 0: never; an expired one is good for nothing any more."""

    token_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: int
    last_used: int
    expires_at: int


class CreateBotToken(_Request, frozen=True):
    """``POST /v1/bots/{botId}/tokens``."""

    name: Name
    scopes: Annotated[tuple[str, ...], msgspec.Meta(max_length=20, description="What it is good for.")] = (
        "messages:read",
        "messages:write",
    )
    expires_at: Annotated[Number, msgspec.Meta(description="When it ends, in ms; 0: never.")] = 0


class NewBotToken(BotToken, frozen=True, kw_only=True):
    """A new token of a bot; ``token`` is shown once."""

    token: str


class IncomingHook(_Body, frozen=True):
    """An incoming webhook: who knows its path posts as the bot into one conversation. Times in ms, 0: never."""

    hook_id: str
    name: str
    conversation_id: str
    created_at: int
    last_used: int


class CreateIncomingHook(_Request, frozen=True):
    """``POST /v1/bots/{botId}/incoming``."""

    name: Name
    conversation_id: Annotated[str, _text(1, 128, "Where it posts: a conversation that the bot is in.")]


class NewIncomingHook(IncomingHook, frozen=True, kw_only=True):
    """A new or changed incoming webhook; ``path`` holds its secret and is shown once."""

    path: str


class HookPost(_Request, frozen=True):
    """``POST /v1/hooks/{hookId}/{secret}``. ``clientMessageId``: the same again is the same message."""

    text: Annotated[str, msgspec.Meta(description="The message.")]
    client_message_id: Annotated[str, _text(0, 64, "As of `send`; or the header Idempotency-Key.")] = ""


class HookPosted(_Body, frozen=True):
    """The message that was posted; durable."""

    message_id: str
    client_message_id: str
    sequence_number: int
    timestamp: int
