"""The page about the socket's frames, made from the AsyncAPI document that the server itself serves."""

from collections.abc import Mapping
from typing import Any

from scripts.site.schemas import Words

_HEAD = """# Socket frames

Every frame that goes over the WebSocket `{address}`, and over long polling, made from the structs that the server
parses them with. The machine-readable form is an AsyncAPI 3.0 document at `GET /v1/asyncapi.json` of every server.
[The protocol](../protocol.md) says when each is sent and what it means; section 14 there shows
[a session, frame by frame](../protocol.md#14-a-session-frame-by-frame).

{description}
"""


def socket_page(document: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """Return the page as Markdown. ``sections`` are the links to numbered sections of the protocol."""
    schemas = document["components"]["schemas"]
    words = Words({name: _typed(document, name, each) for name, each in schemas.items()}, "socket", sections)
    address = document["channels"]["socket"]["address"]
    parts = [_HEAD.format(address=address, description=document["info"]["description"])]
    told: set[str] = set()
    for operation in document["operations"].values():
        parts.append(f"## {str(operation['summary']).rstrip('.')}\n")
        for reference in operation["messages"]:
            name = str(reference["$ref"]).rpartition("/")[2]
            if name not in told:
                told.add(name)
                parts.append(words.section(name))
    parts.append("## Parts of frames\n")
    parts += [words.section(name) for name in sorted(schemas.keys() - told)]
    return "\n".join(parts)


def _typed(document: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a frame's schema under the name that stands in its field ``type``."""
    message = document["components"]["messages"].get(name)
    return {**schema, "title": f"`{message['name']}`"} if message else dict(schema)
