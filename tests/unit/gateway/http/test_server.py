"""Health, metrics, long polling and the landing page."""

import re
import time
from email.utils import parsedate_to_datetime

from tests.fakes.asgi import AsgiClient
from tests.fakes.house import House


async def test_health_and_readiness(house: House) -> None:
    client = house.client()
    assert (await client.request("GET", "/healthz")).json == {"status": "ok"}
    assert (await client.request("GET", "/readyz")).json == {"status": "ok"}
    house.draining = True
    assert (await client.request("GET", "/healthz")).status == 200
    ready = await client.request("GET", "/readyz")
    assert (ready.status, ready.code, ready.json["error"]["retryable"]) == (503, "unavailable", True)


async def test_health_tells_the_servers_clock(house: House) -> None:
    before = int(time.time())
    told = (await house.client().request("GET", "/healthz")).headers["date"]
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", told)  # an IMF-fixdate
    assert before <= parsedate_to_datetime(told).timestamp() <= time.time()


async def test_metrics_are_for_this_machine_without_a_proxy(house: House) -> None:
    app = house.app()
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9"):
        reply = await AsgiClient(app, address).request("GET", "/metrics")
        assert (reply.status, reply.body) == (200, b"cooee_up 1\n")
        assert reply.headers["content-type"].startswith("text/plain")
    none = await AsgiClient(app, "192.0.2.1").request("GET", "/nowhere")
    refused: tuple[tuple[str | None, dict[str, str]], ...] = (
        ("192.0.2.1", {}),
        ("10.0.0.1", {}),
        (None, {}),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}),
        ("127.0.0.1", {"via": "1.1 proxy"}),
    )
    for peer, headers in refused:
        reply = await AsgiClient(app, peer).request("GET", "/metrics", headers=headers)
        assert (reply.status, reply.body) == (404, none.body)


async def test_a_poll_is_handed_on_with_its_token(house: House) -> None:
    alice = await house.person("alice")
    body = {"requestNumber": 1, "frames": [{"type": "hello", "token": "x"}], "waitMs": 0}
    reply = await alice.request("POST", "/v1/poll?session=balancer", body)
    assert reply.json == {"session": "s", "answerNumber": 1, "frames": []}
    request, token, address = house.polls[0]
    assert (request.request_number, token, address) == (1, alice.token, "127.0.0.1")
    assert (await house.client().request("POST", "/v1/poll", body)).code == "unauthorized"
    assert (await alice.request("POST", "/v1/poll", {"requestNumber": "1"})).code == "bad_frame"
    assert len(house.polls) == 1


async def test_the_landing_page_speaks_to_people_and_programs(house: House) -> None:
    page = await house.client().request("GET", "/", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"cooee register" in page.body
    info = await house.client().request("GET", "/")
    assert info.json["webSocket"] == "/v1/ws"
    for target in (info.json["openApi"], info.json["asyncApi"]):
        assert (await house.client().request("GET", target)).status == 200
