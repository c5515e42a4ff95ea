"""Around every request: origins, preflights, security headers, and bugs that stay inside."""

from structlog.testing import capture_logs

from cooee.domain.errors import CooeeError, ErrorCode, rate_limited
from cooee.gateway.http.app import HttpSettings, app_of
from cooee.gateway.http.route import Auth, Call, Route
from cooee.gateway.http.shell import Shell
from cooee.gateway.origins import Origins
from cooee.ports.devices import Device
from tests.fakes.asgi import AsgiClient
from tests.fakes.house import House

PAGE = {"origin": "https://web.example"}


async def test_a_foreign_page_is_refused_before_anything_happens(house: House) -> None:
    body = {"userId": "alice", "password": "correct horse"}
    client = house.client()
    for origin in ("https://evil.example", "null", "http://chat.example.evil.example", "file://", "", "http://x:y"):
        reply = await client.request("POST", "/v1/accounts", body, headers={"origin": origin})
        assert (reply.status, reply.code) == (403, "forbidden"), origin
        assert "access-control-allow-origin" not in reply.headers
    assert (await client.request("POST", "/v1/accounts", body)).status == 201


async def test_a_page_of_this_host_may_ask(house: House) -> None:
    reply = await house.client().request("GET", "/healthz", headers={"origin": "http://chat.example"})
    assert reply.status == 200
    other_port = {"origin": "http://chat.example:8081"}
    assert (await house.client().request("GET", "/healthz", headers=other_port)).status == 403


async def test_an_allowed_page_gets_cors_and_no_credentials(house: House) -> None:
    client = AsgiClient(house.app(HttpSettings("https://chat.example", ("https://web.example",))))
    preflight = await client.request(
        "OPTIONS", "/v1/me", headers=PAGE | {"access-control-request-method": "PATCH", "x-junk": "1"}
    )
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://web.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers
    refused = await client.request("GET", "/v1/me", headers=PAGE)
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://web.example"
    assert refused.headers["access-control-expose-headers"].startswith("Retry-After, ")
    foreign = await client.request(
        "OPTIONS", "/v1/me", headers={"origin": "https://evil.example", "access-control-request-method": "GET"}
    )
    assert foreign.status == 403


async def test_with_a_public_url_the_asked_host_says_nothing(house: House) -> None:
    """A name that an attacker points at this address (DNS rebinding) is no reason to serve his page."""
    client = AsgiClient(house.app(HttpSettings("https://chat.example")))
    rebound = {"host": "evil.example", "origin": "http://evil.example"}
    assert (await client.request("GET", "/healthz", headers=rebound)).status == 403
    assert (await client.request("GET", "/healthz", headers={"origin": "https://chat.example"})).status == 200
    assert (await client.request("GET", "/healthz", headers={"origin": "http://chat.example"})).status == 403


async def test_every_answer_carries_the_security_headers(house: House) -> None:
    for target in ("/", "/healthz", "/v1/me", "/v1/openapi.json", "/nowhere"):
        reply = await house.client().request("GET", target)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["vary"] == "Origin"
        assert "server" not in reply.headers


async def test_what_is_not_there_is_told_in_the_one_shape(house: House) -> None:
    client = house.client()
    gone = await client.request("GET", "/v1/nothing")
    assert (gone.status, gone.code, gone.json["error"]["retryable"]) == (404, "not_found", False)
    wrong = await client.request("PUT", "/v1/me")
    assert (wrong.status, wrong.code) == (405, "bad_frame")
    assert {"GET", "PATCH", "DELETE"} <= set(wrong.headers["allow"].replace(" ", "").split(","))


SPELLINGS = ["/v1/me/", "//v1/me", "/v1//me", "/v1/../v1/me", "/V1/me", "/v1/me%00", "/v1/me%0a", "/v1/me%0d%0a"]


async def test_a_path_has_one_spelling(house: House) -> None:
    """No redirect either: it would be built from the Host header."""
    alice = await house.person("alice")
    for target in SPELLINGS:
        reply = await alice.request("GET", target)
        assert (reply.status, reply.code) == (404, "not_found"), target
        assert "location" not in reply.headers


async def _broken(_: Call[None]) -> None:
    raise RuntimeError("alice wrote: my secret")


async def _waiting(_: Call[None]) -> None:
    raise rate_limited(1500)


async def _mismatched(_: Call[None]) -> None:
    missing = ({"userId": "bob", "deviceId": "d1"},)
    raise CooeeError(ErrorCode.MISMATCHED_DEVICES, "no", extra={"missing": missing, "unknown": object()})


def _client(endpoint: object) -> AsgiClient:
    async def nobody(_: str) -> Device:
        raise AssertionError

    row = Route(method="GET", path="/x", endpoint=endpoint, summary="", tag="", auth=Auth.NOBODY)  # type: ignore[arg-type]
    return AsgiClient(app_of((row,), None, nobody, HttpSettings()))


async def test_a_bug_is_answered_without_details_and_logged_without_content() -> None:
    with capture_logs() as logs:
        reply = await _client(_broken).request("GET", "/x")
    assert (reply.status, reply.code, reply.json["error"]["retryable"]) == (500, "internal", True)
    assert b"secret" not in reply.body
    assert [(entry["log_level"], entry["problem"], entry["where"]) for entry in logs] == [
        ("error", "RuntimeError", "GET /x")
    ]
    assert "secret" not in str(logs)


async def test_a_bug_outside_the_routes_is_answered_too() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("my secret")

    with capture_logs() as logs:
        reply = await AsgiClient(Shell(broken, Origins())).request("GET", "/x")
    assert (reply.status, reply.code) == (500, "internal")
    assert "secret" not in str(logs)


async def test_a_limit_says_when_to_come_back() -> None:
    reply = await _client(_waiting).request("GET", "/x")
    assert reply.status == 429
    assert reply.headers["retry-after"] == "2"
    assert reply.json["error"]["retryAfterMs"] == 1500


async def test_a_refusal_carries_its_own_fields_and_no_others() -> None:
    reply = await _client(_mismatched).request("GET", "/x")
    assert reply.status == 409
    assert reply.json["error"] == {
        "code": "mismatched_devices",
        "message": "no",
        "retryable": False,
        "missing": [{"userId": "bob", "deviceId": "d1"}],
    }


async def test_head_is_answered_as_get(house: House) -> None:
    assert (await house.client().request("HEAD", "/healthz")).status == 200
    assert (await house.client().request("HEAD", "/v1/me")).status == 401


async def test_a_server_may_start_and_stop_it() -> None:
    sent: list[str] = []
    asked = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, str]:
        return {"type": next(asked)}

    async def send(message: object) -> None:
        sent.append(message["type"])  # type: ignore[index]

    async def nothing(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    await Shell(nothing, Origins())({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
