"""The OpenAPI and AsyncAPI documents are valid, and say what the server does."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from cooee.gateway.http.admin import ADMIN_ROUTES
from cooee.gateway.http.asyncapi import asyncapi
from cooee.gateway.http.openapi import openapi
from cooee.gateway.http.table import ROUTES
from cooee.protocol import frames
from cooee.protocol.codec import encode
from tests.fakes.asgi import Reply
from tests.fakes.house import open_house
from tests.fakes.http_cases import Case, tour


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as clients read it."""
    return json.loads(encode(openapi(ROUTES)))


def test_the_openapi_document_is_valid(document: Any) -> None:
    validate(document)


def test_the_administrative_routes_can_be_described() -> None:
    validate(json.loads(encode(openapi(ADMIN_ROUTES))))


def test_every_route_is_described(document: Any) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_routes_that_take_a_token_say_so(document: Any) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            taken = next(r for r in ROUTES if (r.path, r.method.lower()) == (path, method)).auth.value == "device"
            assert bool(operation["security"]) == taken
            assert ("401" in operation["responses"]) == taken or operation["operationId"] in {"logIn", "recover"}


async def test_real_answers_are_as_described(document: Any, tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        replies = await tour(house)
    assert {case.operation for case, _ in replies} == {route.operation for route in ROUTES}
    for case, reply in replies:
        _check(document, case, reply)


def _check(document: Any, case: Case, reply: Reply) -> None:
    route = next(route for route in ROUTES if route.operation == case.operation)
    described = document["paths"][route.path][route.method.lower()]["responses"][str(reply.status)]
    assert reply.status == route.status, (case, reply.body)
    if "content" not in described:
        assert reply.body == b"", case
        return
    assert reply.headers["content-type"].partition(";")[0] in {kind.partition(";")[0] for kind in described["content"]}
    if reply.headers["content-type"] == "application/json":
        schema = _closed(document, described["content"]["application/json"]["schema"])
        Draft202012Validator(schema).validate(reply.json)


def _closed(document: Any, schema: Any) -> Any:
    """Return the schema with all components beside it, none of which allows a field that it does not name."""
    components = json.loads(json.dumps(document["components"]["schemas"]))
    for component in components.values():
        if "properties" in component:
            component["additionalProperties"] = False
    return schema | {"components": {"schemas": components}}


async def test_refusals_are_as_described(document: Any, tmp_path: Path) -> None:
    schema = _closed(document, {"$ref": "#/components/schemas/ErrorBody"})
    async with open_house(tmp_path) as house:
        for route in ROUTES:
            if route.auth.value != "device":
                continue
            reply = await house.client().request(route.method, route.path.replace("{", "").replace("}", ""))
            assert str(reply.status) in document["paths"][route.path][route.method.lower()]["responses"]
            Draft202012Validator(schema).validate(reply.json)


def test_the_asyncapi_document_lists_every_frame() -> None:
    document = json.loads(encode(asyncapi()))
    assert document["asyncapi"] == "3.0.0"
    for operation, union in (("fromClient", frames.ClientFrame), ("toClient", frames.ServerFrame)):
        listed = [_follow(document, _follow(document, each)) for each in document["operations"][operation]["messages"]]
        assert [message["name"] for message in listed] == [str(f.__struct_config__.tag) for f in get_args(union)]
        for message in listed:
            payload = _follow(document, message["payload"])
            assert payload["properties"]["type"]["enum"] == [message["name"]]
            assert message["summary"]
            Draft202012Validator.check_schema(payload)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads(encode(asyncapi()))

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert _follow(document, node)
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(document)


def test_real_frames_are_as_described() -> None:
    document = json.loads(encode(asyncapi()))
    components = {"components": document["components"]}
    samples: list[Any] = [
        frames.Hello("t"),
        frames.Ack("sent", "r", "c", "1", "dm:a1:b1", 1, 5),
        frames.Skipped("dm:a1:b1", from_=1, through=2, reason="retention"),
        frames.Typing("dm:a1:b1", "started"),
        frames.Error("bad_frame", "no", retryable=False),
        frames.CaughtUp("x.1"),
    ]
    for sample in samples:
        schema = {"$ref": f"#/components/schemas/{type(sample).__name__}"} | components
        Draft202012Validator(schema).validate(json.loads(encode(sample)))


def _follow(document: Any, reference: Any) -> Any:
    node = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        node = node[part]
    return node
