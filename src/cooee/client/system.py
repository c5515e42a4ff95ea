"""What the system messages of a group say of its name and its members (PROTOCOL.md §8). Pure."""

from typing import Any

from cooee.client.model import Message
from cooee.client.state import ConversationState


def after_system_message(conversation: ConversationState, message: Message, me: str) -> dict[str, Any]:
    """Return the fields of ``conversation`` that ``message``, delivered in order, changes. ``me``: the own userId.

    An unknown event, or one whose fields are not as expected, changes nothing.
    """
    content = message.content if isinstance(message.content, dict) else {}
    users = _names(content.get("userIds"))
    match message.event:
        case "group_created":
            founders = dict.fromkeys(_names(content.get("members")), message.sequence_number)
            return {"roster": founders, "roster_exact": True, "left": False} | _title(content)
        case "group_renamed":
            return _title(content)
        case "member_added":
            joined = dict.fromkeys(users, message.sequence_number)
            return _roster(conversation, add=joined) | ({"left": False} if me in joined else {})
        case "member_removed" | "member_left":
            return _roster(conversation, remove=users) | ({"left": True} if me in users else {})
        case _:
            return {}


def _roster(conversation: ConversationState, add: dict[str, int] | None = None, remove: Any = ()) -> dict[str, Any]:
    """Return the changed roster; one that is not known stays so."""
    if conversation.roster is None:
        return {}
    staying = {user: joined for user, joined in conversation.roster.items() if user not in remove}
    return {"roster": staying | (add or {})}


def _title(content: dict[str, Any]) -> dict[str, Any]:
    name = content.get("name")
    return {"title": name} if isinstance(name, str) else {}


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
