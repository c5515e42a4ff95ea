"""The routes of files: grants, redirects, and what they tell to whom."""

import hashlib

import pytest

from tests.fakes.asgi import AsgiClient
from tests.fakes.house import House

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
WISH = {
    "contentType": "image/png",
    "size": len(PNG),
    "sha256": hashlib.sha256(PNG).hexdigest(),
    "filename": "cat.png",
}


async def sent(house: House, alice: AsgiClient) -> str:
    """Upload a picture and send it to bob; return its key."""
    granted = await alice.request("POST", "/v1/media/uploads", WISH)
    assert granted.status == 201, granted.body
    key = str(granted.json["mediaKey"])
    house.blobs.put(key, PNG, "image/png")
    content = {"mediaKey": key, "mimeType": "image/png", "size": len(PNG)}
    body = {"clientMessageId": key, "to": "bob", "contentType": "image", "content": content}
    reply = await alice.request("POST", "/v1/messages", body)
    assert reply.status == 200, reply.body
    return key


async def test_an_upload_is_answered_with_everything_that_it_needs(house: House) -> None:
    alice = await house.person("alice")
    granted = (await alice.request("POST", "/v1/media/uploads", WISH)).json
    assert set(granted) == {
        "mediaKey",
        "uploadUrl",
        "method",
        "headers",
        "expiresAt",
        "parts",
        "uploaded",
        "usedBytes",
        "quotaBytes",
    }
    assert granted["uploadUrl"].startswith(f"/blobs/{granted['mediaKey']}")
    assert granted["parts"] is None


async def test_a_download_leads_there_and_is_not_kept_by_caches(house: House) -> None:
    alice, bob = await house.person("alice"), await house.person("bob")
    key = await sent(house, alice)
    reply = await bob.request("GET", f"/v1/media/{key}")
    assert reply.status == 302
    assert reply.headers["location"].startswith(f"http://store.test/blobs/{key}")
    assert reply.headers["cache-control"] == "no-store"
    told = await bob.request("GET", f"/v1/media/{key}?redirect=false")
    assert told.status == 200
    assert (told.json["size"], told.json["filename"]) == (len(PNG), "cat.png")
    assert told.json["url"] == reply.headers["location"].replace("%2F", "/")


@pytest.mark.parametrize("query", ["variant=huge", "redirect=perhaps", "redirect=false&redirect=true"])
async def test_a_strange_query_is_refused(house: House, query: str) -> None:
    alice = await house.person("alice")
    reply = await alice.request("GET", f"/v1/media/{'k' * 32}?{query}")
    assert (reply.status, reply.code) == (400, "bad_frame")


async def test_a_strangers_answer_is_that_for_no_file(house: House) -> None:
    alice, _, eve = await house.person("alice"), await house.person("bob"), await house.person("eve")
    key = await sent(house, alice)
    replies = {
        (await eve.request(method, path, body)).body
        for method, path, body in (
            ("GET", f"/v1/media/{key}", None),
            ("GET", f"/v1/media/{'g' * 32}", None),
            ("GET", f"/v1/media/{key}?variant=thumbnail", None),
            ("GET", "/v1/media/x", None),
        )
    }
    assert len(replies) == 1
    reply = await eve.request("POST", f"/v1/media/{key}/complete", {"uploadId": "u1"})
    assert (reply.status, reply.code) == (404, "not_found")
    assert (await house.client().request("GET", f"/v1/media/{key}")).status == 401


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "A" * 64},
        {"sha256": "0" * 63},
        {"size": 0},
        {"size": -1},
        {"size": "1"},
        {"contentType": "text/html;"},
    ],
)
async def test_a_malformed_wish_is_refused(house: House, change: dict[str, object]) -> None:
    alice = await house.person("alice")
    reply = await alice.request("POST", "/v1/media/uploads", WISH | change)
    assert (reply.status, reply.code) == (400, "bad_frame")


async def test_too_large_a_file_is_told_how_large_it_may_be(house: House) -> None:
    alice = await house.person("alice")
    reply = await alice.request("POST", "/v1/media/uploads", WISH | {"size": 2**50})
    assert (reply.status, reply.code) == (413, "too_large")
    assert reply.json["error"]["allowed"] == 32 * 1024 * 1024
