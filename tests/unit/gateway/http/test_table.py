"""The route table says what PROTOCOL.md promises, and every row is complete."""

from cooee.domain.limits import Limits
from cooee.gateway.http.admin import ADMIN_ROUTES
from cooee.gateway.http.route import PATH_PARAMETER, Auth
from cooee.gateway.http.table import ROUTES
from tests.fakes.http_cases import CASES

PROMISED = {
    "PUT /v1/keys",
    "GET /v1/keys/status",
    "POST /v1/keys/claim",
    "PUT /v1/users/{}/device-list",
    "GET /v1/users/{}/device-list",
    "POST /v1/device-lists",
    "PUT /v1/conversations/{}/encryption",
    "POST /v1/accounts",
    "POST /v1/sessions",
    "GET /v1/sessions/current",
    "DELETE /v1/sessions/current",
    "GET /v1/devices",
    "DELETE /v1/devices/{}",
    "PUT /v1/me/password",
    "DELETE /v1/me",
    "GET /v1/me/export",
    "POST /v1/me/recovery-codes",
    "POST /v1/recover",
    "GET /v1/me",
    "PATCH /v1/me",
    "GET /v1/users/{}",
    "GET /v1/users",
    "PUT /v1/contacts/{}",
    "DELETE /v1/contacts/{}",
    "GET /v1/contacts",
    "PUT /v1/blocks/{}",
    "DELETE /v1/blocks/{}",
    "GET /v1/blocks",
    "GET /v1/conversations",
    "GET /v1/conversations/{}",
    "PATCH /v1/conversations/{}",
    "GET /v1/conversations/{}/messages",
    "GET /v1/conversations/{}/receipts",
    "DELETE /v1/conversations/{}/messages/{}",
    "POST /v1/messages",
    "POST /v1/media/uploads",
    "POST /v1/media/{}/complete",
    "GET /v1/media/{}",
    "POST /v1/groups",
    "GET /v1/groups/{}",
    "PATCH /v1/groups/{}",
    "DELETE /v1/groups/{}",
    "POST /v1/groups/{}/members",
    "DELETE /v1/groups/{}/members/{}",
    "PUT /v1/groups/{}/members/{}/role",
    "POST /v1/groups/{}/invite",
    "DELETE /v1/groups/{}/invite",
    "POST /v1/join",
    "POST /v1/bots",
    "GET /v1/bots",
    "GET /v1/bots/{}",
    "PATCH /v1/bots/{}",
    "DELETE /v1/bots/{}",
    "POST /v1/bots/{}/tokens",
    "GET /v1/bots/{}/tokens",
    "DELETE /v1/bots/{}/tokens/{}",
    "POST /v1/bots/{}/incoming",
    "GET /v1/bots/{}/incoming",
    "POST /v1/bots/{}/incoming/{}/rotate",
    "DELETE /v1/bots/{}/incoming/{}",
    "POST /v1/hooks/{}/{}",
    "POST /v1/bots/{}/webhooks",
    "GET /v1/bots/{}/webhooks",
    "GET /v1/bots/{}/webhooks/{}",
    "PATCH /v1/bots/{}/webhooks/{}",
    "DELETE /v1/bots/{}/webhooks/{}",
    "POST /v1/bots/{}/webhooks/{}/test",
    "POST /v1/bots/{}/webhooks/{}/rotate",
    "GET /v1/bots/{}/webhooks/{}/dead-letters",
    "POST /v1/bots/{}/webhooks/{}/dead-letters/retry",
    "POST /v1/bots/{}/webhooks/{}/dead-letters/{}/retry",
    "POST /v1/poll",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /v1/openapi.json",
    "PUT /v1/push/subscription",
    "GET /v1/push/subscription",
    "DELETE /v1/push/subscription",
    "GET /v1/push/vapid-key",
    "GET /v1/asyncapi.json",
    "GET /",
}
"""PROTOCOL.md §8, §11, §12, §16 to §19, as far as accounts, messages, groups and bots go."""

OPEN = {
    "register",
    "logIn",
    "recover",
    "postToHook",
    "getHealthz",
    "getReadyz",
    "getOpenapi",
    "getAsyncapi",
    "getLanding",
}
"""What may be asked without a token; a new route must be put here on purpose."""


def test_what_the_protocol_promises_is_offered_and_nothing_else() -> None:
    offered = [f"{route.method} {PATH_PARAMETER.sub('{}', route.path)}" for route in ROUTES]
    assert sorted(offered) == sorted(PROMISED)


def test_only_these_routes_take_no_token() -> None:
    assert {route.operation for route in ROUTES if route.auth is Auth.NOBODY} == OPEN
    assert {route.operation for route in ROUTES if route.auth is Auth.LOOPBACK} == {"getMetrics"}
    assert {route.auth for route in ADMIN_ROUTES} == {Auth.OPERATOR}
    assert not any(route.auth is Auth.OPERATOR for route in ROUTES)


def test_every_row_is_complete() -> None:
    for route in (*ROUTES, *ADMIN_ROUTES):
        assert route.summary.endswith("."), route.path
        assert route.status in (200, 201, 202, 204)
        assert (route.status == 204) == (route.response is None), route.path
        assert route.method != "GET" or route.request is None
        assert not route.limit or route.limit in Limits.__struct_fields__


def test_operations_have_unique_names() -> None:
    for table in (ROUTES, ADMIN_ROUTES):
        names = [route.operation for route in table]
        assert len(names) == len(set(names))


def test_each_route_has_its_example() -> None:
    assert [case.operation for case in CASES] == list(dict.fromkeys(case.operation for case in CASES))
    assert {case.operation for case in CASES} == {route.operation for route in ROUTES}
