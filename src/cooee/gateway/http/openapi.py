"""The OpenAPI 3.1 description of the HTTP API, made from the route table and the structs that parse it."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from cooee.domain.errors import HTTP_STATUS, ErrorCode
from cooee.domain.limits import Limits
from cooee.domain.scopes import Scope
from cooee.gateway.http.landing import server_info
from cooee.gateway.http.route import Auth, Route
from cooee.protocol import frames, http

_REF = "#/components/schemas/{name}"
_MESSAGE = {"$ref": "#/components/schemas/MessageFrame"}
_FRAMES = {"type": "array", "items": {"type": "object"}, "default": []}
_REFINED: dict[tuple[str, str], Any] = {
    ("Messages", "messages"): {"type": "array", "items": _MESSAGE},
    ("Conversation", "lastMessage"): {"anyOf": [_MESSAGE, {"type": "null"}], "default": None},
    ("PollRequest", "frames"): _FRAMES,
    ("PollResponse", "frames"): _FRAMES,
}
"""What raw JSON holds, which the structs themselves do not say."""

_ANYWHERE = (
    ErrorCode.BAD_FRAME,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.INTERNAL,
    ErrorCode.UNAVAILABLE,
)
_DESCRIPTION = (
    "The HTTP side of Cooee's wire protocol v1. Times are milliseconds since the Unix epoch; an unknown field is "
    "ignored. There are no cookies, and a foreign `Origin` is refused."
)
_PARAMETERS = {
    "userId": "A userId.",
    "deviceId": "One of the own deviceIds.",
    "botId": "The userId of a bot.",
    "tokenId": "The id of one of the bot's tokens.",
    "hookId": "The id of an incoming webhook.",
    "webhookId": "The id of an outgoing webhook; it is a deviceId of the bot.",
    "letterId": "The id of a dead letter; it is the request's `webhook-id`.",
    "secret": "The secret of an incoming webhook.",
    "mediaKey": "The key of a file, as its upload was answered with.",
    "conversationId": "`dm:{a}:{b}` with the userIds in ascending order, or `group:{id}`.",
    "sequenceNumber": "The message's number in its conversation.",
}


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document that describes ``routes``."""
    types = _types(routes)
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = {_key(each): reference for each, reference in zip(types, references, strict=True)}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cooee",
            "version": server_info().version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _refined(components, routes),
        },
    }


def _types(routes: Iterable[Route]) -> list[Any]:
    """Return every type with a schema of its own, each once."""
    found: dict[str, Any] = {_key(each): each for each in (http.ErrorBody, frames.MessageFrame)}
    for route in routes:
        for each in (route.request, route.response):
            if each is not None:
                found[_key(each)] = each
    return list(found.values())


def _key(each: Any) -> str:
    return str(each) if getattr(each, "__origin__", None) else each.__name__


def _refined(components: dict[str, Any], routes: Iterable[Route]) -> dict[str, Any]:
    for (name, field), schema in _REFINED.items():
        if name in components:
            components[name]["properties"][field] = schema
    for route in routes:
        if route.request is not None and issubclass(route.request, frames.Send):
            components[route.request.__name__]["required"].remove("type")
    return components


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "security": _security(route),
        "responses": _responses(route, schemas),
    }
    if route.limit:
        operation["description"] = f"Limited: {_limit(route.limit)}"
    if parameters := [*map(_path_parameter, route.path_parameters), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.request is not None:
        content: dict[str, Any] = {"application/json": {"schema": schemas[_key(route.request)]}}
        if route.raw:
            content["text/plain"] = {"schema": {"type": "string"}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Say that a route takes a token, and what a bot's must be good for; ``person``: no bot's is."""
    if route.auth is not Auth.DEVICE:
        return []
    return [{"token": [scope.value for scope in (route.needs, *route.needs_too) if scope is not Scope.ANY]}]


def _limit(name: str) -> str:
    """Return how the limit describes itself in `Limits`."""
    field = next(field for field in msgspec.structs.fields(Limits) if field.name == name)
    described = msgspec.inspect.type_info(field.type)
    extra = described.extra_json_schema if isinstance(described, msgspec.inspect.Metadata) else None
    return str((extra or {}).get("description", name))


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "path", "required": True, "description": _PARAMETERS[name], "schema": schema}


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (_,), components = msgspec.json.schema_components([route.query])
    schema = components[route.query.__name__]
    required = schema.get("required", ())
    found = []
    for name, described in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in required, "schema": described}
        if description := described.pop("description", ""):
            parameter["description"] = description
        found.append(parameter)
    return found


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): _success(route, "Done.", schemas)}
    for status, meaning in route.also.items():
        responses[str(status)] = _success(route, meaning, schemas)
    codes = [*_ANYWHERE, *route.errors]
    if route.auth is Auth.DEVICE:
        codes.append(ErrorCode.UNAUTHORIZED)
    if route.request is not None:
        codes.append(ErrorCode.TOO_LARGE)
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(HTTP_STATUS[code], []).append(code.value)
    for status in sorted(by_status):
        responses[str(status)] = _refusal(by_status[status], schemas)
    return responses


def _success(route: Route, meaning: str, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.response is None:
        return {"description": meaning}
    schema = schemas[_key(route.response)]
    content = {route.media_type: {"schema": schema}}
    if route.path == "/":
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": meaning, "content": content}


def _refusal(codes: list[str], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = schemas[_key(http.ErrorBody)]
    return {"description": " or ".join(codes), "content": {"application/json": {"schema": schema}}}
