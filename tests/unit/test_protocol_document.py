"""PROTOCOL.md says what the code does: its examples pass through the codec, its tables are the code's, and back."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest

from cooee.domain import groups as rules
from cooee.domain.conversation import Group, Role
from cooee.domain.errors import HTTP_STATUS, RETRYABLE, ErrorCode
from cooee.domain.ids import is_client_message_id
from cooee.domain.limits import Limits
from cooee.gateway.http.route import Route
from cooee.gateway.http.table import ROUTES
from cooee.protocol import frames, http, webhooks
from cooee.protocol.codec import decode_client, decode_server, encode
from cooee.protocol.codes import NO_RECONNECT, CloseCode
from cooee.protocol.poll import PollRequest, PollResponse
from cooee.services.send_checks import CONTENT_TYPES, check_send

DOCUMENT = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")
_FENCE = re.compile(r"^```json ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


class Example(NamedTuple):
    """One JSON value of a fence, and what the fence says it is."""

    kind: str
    value: Any


def examples() -> Iterator[Example]:
    """Yield the values of all fences of examples."""
    decoder = json.JSONDecoder()
    for match in _FENCE.finditer(DOCUMENT):
        rest = match[2].strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            yield Example(match[1], value)
            rest = rest[end:].lstrip()


EXAMPLES = list(examples())
CLIENT_EXAMPLES = [example.value for example in EXAMPLES if example.kind == "c2s"]
SERVER_EXAMPLES = [example.value for example in EXAMPLES if example.kind == "s2c"]
HTTP_EXAMPLES = [example for example in EXAMPLES if example.kind.split()[0] in {"request", "response", "error"}]


def section(number: int) -> str:
    """Return the text of one numbered section."""
    match = re.search(rf"^## {number}\. .*?(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert match is not None, f"PROTOCOL.md has no section {number}"
    return match[0]


def rows(text: str, first: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with ``first``, without the head."""
    after = text.partition(f"| {first}")[2].partition("\n")[2]
    table = after.partition("\n\n")[0]
    return [[cell.strip() for cell in row.split(" | ")] for row in _ROW.findall(table)]


def names(cell: str) -> list[str]:
    """Return what stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def tags(union: Any) -> set[str]:
    """Return the types of a union of frames, as on the wire."""
    return {frame.__struct_config__.tag for frame in get_args(union)}


def same(frame: Any) -> Any:
    """Return a struct as the JSON value that the codec makes of it."""
    return json.loads(encode(frame))


# --- examples ---------------------------------------------------------------------------------------------------------


def test_every_fence_is_an_example_of_a_known_kind() -> None:
    known = ("c2s", "s2c", "request ", "response ", "error ", "delivery")
    assert all(example.kind.startswith(known) for example in EXAMPLES)
    assert len(EXAMPLES) > 50


@pytest.mark.parametrize("value", CLIENT_EXAMPLES, ids=lambda value: str(value["type"]))
def test_an_example_of_a_client_frame_says_exactly_what_the_codec_reads(value: Any) -> None:
    frame = decode_client(json.dumps(value).encode())
    assert frame.__struct_config__.tag == value["type"]
    assert same(frame) == value
    if isinstance(frame, frames.Send):
        check_send(frame, Limits())


@pytest.mark.parametrize("value", SERVER_EXAMPLES, ids=lambda value: str(value["type"]))
def test_an_example_of_a_server_frame_says_exactly_what_the_codec_writes(value: Any) -> None:
    _check_server_frame(value)


def _check_server_frame(value: Any) -> None:
    frame = decode_server(json.dumps(value).encode())
    assert frame is not None, f"{value['type']} is no server frame"
    assert same(frame) == value
    if isinstance(frame, frames.MessageFrame):
        assert is_client_message_id(frame.client_message_id)
    elif isinstance(frame, frames.Messages):
        for message in value["messages"]:
            _check_server_frame(message)
    elif isinstance(frame, frames.ConversationChanged):
        _check_body(value["conversation"], http.Conversation)
    elif isinstance(frame, frames.AccountChanged) and frame.account is not msgspec.UNSET:
        _check_body(value["account"], http.Me)


@pytest.mark.parametrize("example", HTTP_EXAMPLES, ids=lambda example: example.kind)
def test_an_example_of_a_body_has_exactly_its_fields(example: Example) -> None:
    word, *rest = example.kind.split()
    if word == "error":
        _check_body(example.value, http.ErrorBody)
        assert HTTP_STATUS[ErrorCode(example.value["error"]["code"])] == int(rest[0])
    elif word == "request":
        _check_body(example.value, _route(*rest).request)
    else:
        status, method, path = rest
        route = _route(method, path)
        assert int(status) == route.status
        _check_body(example.value, route.response)


@pytest.mark.parametrize("example", [one for one in HTTP_EXAMPLES if one.kind.endswith("/v1/poll")])
def test_an_example_of_a_poll_carries_frames(example: Example) -> None:
    for frame in example.value["frames"]:
        if example.kind.startswith("request"):
            decode_client(json.dumps(frame).encode())
        else:
            _check_server_frame(frame)


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.kind == "delivery"])
def test_an_example_of_a_delivery_carries_frames(example: Example) -> None:
    _check_body(example.value, webhooks.Delivery)
    assert example.value["events"]
    for frame in example.value["events"]:
        _check_server_frame(frame)


def _route(method: str, path: str) -> Route:
    return next(route for route in ROUTES if (route.method, route.path) == (method, path))


def _check_body(value: Any, struct: Any) -> None:
    assert same(msgspec.json.decode(json.dumps(value), type=struct)) == value


def test_every_frame_type_has_an_example_and_no_other_has() -> None:
    assert {value["type"] for value in CLIENT_EXAMPLES} == tags(frames.ClientFrame)
    assert {value["type"] for value in SERVER_EXAMPLES} == tags(frames.ServerFrame)


def test_every_field_of_a_frame_is_named() -> None:
    named = set(re.findall(r"[A-Za-z]+", DOCUMENT))
    structs = (*get_args(frames.ClientFrame), *get_args(frames.ServerFrame), frames.WireLimits, frames.Heartbeat)
    structs = (*structs, frames.ConversationWatermarks, frames.MemberWatermark, PollRequest, PollResponse)
    missing = {
        f"{struct.__name__}.{field.encode_name}"
        for struct in structs
        for field in msgspec.structs.fields(struct)
        if field.encode_name not in named
    }
    assert missing == set()


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_table_of_errors_is_the_closed_list() -> None:
    told = {
        names(code)[0]: (int(status), again) for code, status, again, *_ in rows(section(10), "code | HTTP | again?")
    }
    assert told == {code.value: (HTTP_STATUS[code], "yes" if code in RETRYABLE else "no") for code in ErrorCode}


def test_the_table_of_close_codes_is_the_codes() -> None:
    told = {int(code): again for code, _, again in rows(section(10), "code | when")}
    assert set(told) == {int(code) for code in CloseCode}
    assert {code for code, again in told.items() if again.startswith("**no**")} == set(map(int, NO_RECONNECT))


def test_the_table_of_routes_is_the_servers() -> None:
    told = [tuple(name.split()) for routes, *_ in rows(section(11), "route | does") for name in names(routes)]
    assert len(told) == len(set(told))
    assert set(told) == {(route.method, route.path) for route in ROUTES}


def test_routes_outside_the_table_exist() -> None:
    known = {route.path for route in ROUTES} | {"/v1/ws"}
    paths = set(re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) (/[^`?… ]*)[^`…]*`", DOCUMENT))
    assert paths <= known


def test_the_limits_are_all_there() -> None:
    told = [names(limit)[0] for limit, *_ in rows(section(13), "limit | default")]
    assert told == [field.name for field in msgspec.structs.fields(Limits)]


def test_what_welcome_tells_of_the_limits_is_explained() -> None:
    told = {names(wire)[0]: names(limit) for wire, limit, _ in rows(section(13), "`welcome.limits` | from")}
    fields = msgspec.structs.fields(frames.WireLimits)
    assert list(told) == [field.encode_name for field in fields]
    limits = Limits()
    for field in fields:
        if told[field.encode_name]:
            assert getattr(limits, told[field.encode_name][0]) == field.default
    assert fields[-1].default == CONTENT_TYPES


def test_the_identifiers_have_the_forms_that_are_checked() -> None:
    from cooee.domain import ids  # noqa: PLC0415  # only here

    for pattern in (ids.USER_ID, ids.DEVICE_ID, ids.GROUP_ID):
        assert f"`^{pattern.pattern}$`" in section(1)


# --- system messages --------------------------------------------------------------------------------------------------


def written_events() -> dict[str, set[str]]:
    """Return the events that the rules of groups write, with the fields beside ``event`` and ``actorId``."""
    now = rules.Actor("alice", 1, "c")
    founded = rules.create(None, now, "group:g", "Tea", ["bob", "carol"], 500)
    assert founded is not None
    group = founded.group
    bob = rules.Actor("bob", 1, "c")
    changes = [
        founded,
        rules.rename(group, now, "Coffee"),
        rules.add_members(group, now, ["dave"], 500),
        rules.join(group, rules.Actor("erin", 1, "c"), 500),
        rules.remove_member(group, now, "bob"),
        rules.remove_member(group, bob, "bob"),
        rules.set_role(group, now, "bob", Role.ADMIN),
        rules.set_role(group, now, "bob", Role.OWNER),
        rules.depart(group, now),
        rules.delete(group, now),
    ]
    found: dict[str, set[str]] = {
        "message_deleted": {"sequenceNumber", "messageId"},
        "settings_changed": {"encryption"},
    }
    for change in changes:
        assert change is not None
        assert isinstance(change.group, Group)
        for record in change.records:
            content = json.loads(record.body)["content"]
            assert content.pop("actorId")
            found.setdefault(content.pop("event"), set()).update(content)
    return found


def test_the_table_of_system_events_is_what_the_rules_write() -> None:
    told = {names(event)[0]: fields for event, fields in rows(section(8), "`event` | further fields")}
    written = written_events()
    assert set(told) == set(written)
    for event, fields in written.items():
        named = {name.partition(":")[0] for name in names(told[event])}
        assert fields <= named, event
        assert named - fields <= {"member", "admin", "plain", "encrypted"}, event
