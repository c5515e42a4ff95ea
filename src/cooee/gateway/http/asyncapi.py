"""The AsyncAPI 3.0 description of the socket, made from the frame structs themselves."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from cooee.gateway.http.landing import server_info
from cooee.protocol import frames
from cooee.protocol.codes import CloseCode

_REF = "#/components/schemas/{name}"
_MESSAGE = {"$ref": "#/components/schemas/MessageFrame"}
_DESCRIPTION = (
    "Text frames of one JSON object each, the same over WebSocket and over long polling (`POST /v1/poll`). The first "
    "client frame is `hello`. An unknown field is ignored; an unknown type is answered with an `error`, and the "
    "connection goes on. The server closes with one of the codes "
)


def asyncapi() -> dict[str, Any]:
    """Return the document. `Server` is the application that it describes: it receives what clients send."""
    client, server = get_args(frames.ClientFrame), get_args(frames.ServerFrame)
    types = list(dict.fromkeys((*client, *server)))
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    schemas["Messages"]["properties"]["messages"] = {"type": "array", "items": _MESSAGE}
    codes = ", ".join(f"{code.value} ({code.name.lower().replace('_', ' ')})" for code in CloseCode)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cooee",
            "version": server_info().version,
            "description": _DESCRIPTION + codes + ".",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": server_info().web_socket,
                "description": "One connection of one device.",
                "messages": {each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in types},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "fromClient": _operation("receive", "What clients send.", client),
            "toClient": _operation("send", "What the server sends.", server),
        },
        "components": {"messages": {each.__name__: _message(each) for each in types}, "schemas": schemas},
    }


def _operation(action: str, summary: str, types: Sequence[Any]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"#/channels/socket/messages/{each.__name__}"} for each in types],
    }


def _message(each: Any) -> dict[str, Any]:
    return {
        "name": str(each.__struct_config__.tag),
        "title": each.__name__,
        "summary": (each.__doc__ or "").strip().splitlines()[0],
        "payload": {"$ref": f"#/components/schemas/{each.__name__}"},
    }
