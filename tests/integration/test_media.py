"""Files on a real server: uploaded to the folder, sent, seen by whom they concern, and through crashes (§18)."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Frame, Refused
from tests.integration.scene import Person, Scene, dm

PART = 5 * 1024 * 1024
SETTINGS = {"MEDIA_PART_BYTES": str(PART), "MEDIA_USER_QUOTA_BYTES": str(40 * 1024 * 1024)}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
HTML = b"<html><script>alert(1)</script></html>"


def wish(content: bytes, content_type: str, **fields: Any) -> Frame:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"contentType": content_type, "size": len(content), "sha256": sha256} | fields


async def put(person: Person, url: str, content: bytes, headers: Frame) -> int:
    """Do what a client does with the address of an upload, without any token; return the status."""
    wire = person.scene.wire
    async with wire.client.put(wire.url + url, data=io.BytesIO(content), headers=headers) as answer:
        return answer.status


async def upload(person: Person, content: bytes = PNG, content_type: str = "image/png", **fields: Any) -> str:
    """Upload a file and return its key."""
    granted = await person.http("POST", "/v1/media/uploads", wish(content, content_type, **fields))
    assert await put(person, granted["uploadUrl"], content, granted["headers"]) < 300
    return str(granted["mediaKey"])


def message(key: str, conversation_id: str, name: str = "", **content: Any) -> Frame:
    said = {"mediaKey": key, "mimeType": "image/png", "size": len(PNG)} | content
    kind = "image" if said["mimeType"] == "image/png" else "document"
    return {
        "clientMessageId": name or f"c-{key}-{conversation_id}"[:64],
        "conversationId": conversation_id,
        "contentType": kind,
        "content": said,
    }


async def send(person: Person, key: str, conversation_id: str, **fields: Any) -> Frame:
    sent: Frame = await person.http("POST", "/v1/messages", message(key, conversation_id, **fields))
    return sent


async def download(person: Person, key: str, **headers: str) -> tuple[int, bytes, Any]:
    """Follow the redirect of a download; return status, body and headers of where it leads."""
    wire = person.scene.wire
    given = {"authorization": f"Bearer {person.http.token}"} | headers
    async with wire.client.get(f"{wire.url}/v1/media/{key}", headers=given) as answer:
        return answer.status, await answer.read(), answer.headers


async def code_of(work: Awaitable[Any]) -> str:
    """Return the code of the refusal that a request ends in; empty: it is let in."""
    try:
        await work
    except Refused as refused:
        return refused.code
    return ""


async def sees(person: Person, key: str) -> bool:
    code = await code_of(person.http("GET", f"/v1/media/{key}?redirect=false"))
    assert code in {"", "not_found"}
    return not code


# --- the walk of a file -----------------------------------------------------------------------------------------------


async def test_a_file_goes_from_one_to_the_other(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    b = await bob.ready()
    key = await upload(alice, filename="die Katze.png")
    ack = await send(alice, key, dm(alice, bob), caption="the cat", filename="die Katze.png")
    got = await b.expect("message")
    assert (got["contentType"], got["content"]["caption"]) == ("image", "the cat")
    assert got["sequenceNumber"] == ack["sequenceNumber"] == 1
    status, body, headers = await download(bob, got["content"]["mediaKey"])
    assert (status, body) == (200, PNG)
    assert headers["content-type"] == "image/png"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["content-disposition"].startswith("inline")
    status, part, _ = await download(bob, key, range="bytes=8-11")
    assert (status, part) == (206, PNG[8:12])


async def test_files_and_texts_of_one_connection_are_numbered_as_they_were_sent(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    a = await alice.ready()
    keys = [await upload(alice) for _ in range(5)]
    chat = dm(alice, bob)
    for number, key in enumerate(keys):
        await a.put(json.dumps({"type": "send"} | message(key, chat, f"file{number}")))
        text = {"conversationId": chat, "contentType": "text", "content": "hi", "clientMessageId": f"text{number}"}
        await a.put(json.dumps({"type": "send"} | text))
    acks = {ack["clientMessageId"]: ack["sequenceNumber"] for ack in [await a.expect("ack") for _ in range(10)]}
    assert [acks[f"{kind}{number}"] for number in range(5) for kind in ("file", "text")] == list(range(1, 11))


async def test_a_large_file_comes_in_parts_in_any_order(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    content = b"%PDF-" + bytes(range(256)) * (11 * 4096)
    granted = await alice.http("POST", "/v1/media/uploads", wish(content, "application/pdf", filename="a.pdf"))
    assert granted["uploadUrl"] is None
    parts = granted["parts"]
    path, body = f"/v1/media/{granted['mediaKey']}/complete", {"uploadId": parts["uploadId"]}
    assert await code_of(alice.http("POST", path, body)) == "conflict"
    assert await code_of(bob.http("POST", path, body)) == "not_found"
    for number, part in reversed(list(enumerate(parts["requests"]))):
        piece = content[number * parts["partSize"] : (number + 1) * parts["partSize"]]
        assert await put(alice, part["url"], piece, part["headers"]) < 300
    await alice.http("POST", path, body)
    said = {"mimeType": "application/pdf", "size": len(content)}
    await send(alice, granted["mediaKey"], dm(alice, bob), **said)
    status, got, headers = await download(bob, granted["mediaKey"])
    assert (status, hashlib.sha256(got).digest()) == (200, hashlib.sha256(content).digest())
    assert headers["content-disposition"].startswith("attachment")


# --- attackers --------------------------------------------------------------------------------------------------------


async def test_a_stranger_sees_no_file_and_cannot_tell_it_from_none(scene: Scene) -> None:
    alice, bob, eve = await scene.people("alice", "bob", "eve")
    key = await upload(alice)
    await send(alice, key, dm(alice, bob))
    for guessed in (key, "x" * len(key), key[:-1] + "x", f"{key}.thumb", "..%2f..%2fetc%2fpasswd"):
        assert not await sees(eve, guessed)
    assert await code_of(send(eve, key, dm(bob, eve))) == "not_found"
    assert await code_of(send(eve, key, dm(alice, bob))) in {"not_found", "not_a_member"}
    assert not await sees(eve, key)
    text = {"to": bob.user_id, "contentType": "text", "content": key, "clientMessageId": "t"}
    await eve.http("POST", "/v1/messages", text)
    assert not await sees(eve, key)
    assert await code_of(scene.http("GET", f"/v1/media/{key}")) == "unauthorized"


async def test_former_members_keep_what_they_could_see_and_later_ones_get_no_more(scene: Scene) -> None:
    olga, mona, nina = await scene.people("olga", "mona", "nina")
    group = (await olga.http("POST", "/v1/groups", {"name": "G", "memberIds": [mona.user_id]}))["conversationId"]
    before, after = await upload(olga), await upload(olga)
    await send(olga, before, group)
    await olga.http("DELETE", f"/v1/groups/{group}/members/{mona.user_id}")
    await olga.http("POST", f"/v1/groups/{group}/members", {"userIds": [nina.user_id]})
    await send(olga, after, group)
    assert [await sees(mona, key) for key in (before, after)] == [True, False]
    assert [await sees(nina, key) for key in (before, after)] == [False, True]
    assert await code_of(send(mona, after, dm(mona, nina))) == "not_found"
    assert await code_of(send(mona, before, group)) == "not_a_member"
    assert await code_of(send(mona, before, dm(mona, nina))) == ""
    assert await sees(nina, before)


async def test_a_block_ends_sending_and_takes_nothing_back(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    sent, later = await upload(alice), await upload(alice)
    await send(alice, sent, dm(alice, bob))
    await bob.http("PUT", f"/v1/blocks/{alice.user_id}")
    assert await code_of(send(alice, later, dm(alice, bob))) == "blocked"
    assert [await sees(bob, key) for key in (sent, later)] == [True, False]
    assert await sees(alice, sent)


async def test_a_file_that_is_not_what_it_says_is_not_sent(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    page = await upload(alice, HTML)
    assert await code_of(send(alice, page, chat, size=len(HTML))) == "bad_frame"
    granted = await alice.http("POST", "/v1/media/uploads", wish(PNG, "image/png"))
    assert await code_of(send(alice, granted["mediaKey"], chat)) == "not_found"
    assert await put(alice, granted["uploadUrl"], PNG[:-1] + b"?", granted["headers"]) >= 400
    assert await put(alice, granted["uploadUrl"], PNG + b"?", granted["headers"]) >= 400
    assert await put(alice, granted["uploadUrl"], PNG, {"content-type": "text/html"}) >= 400
    assert await code_of(send(alice, granted["mediaKey"], chat)) == "not_found"
    assert await put(alice, granted["uploadUrl"], PNG, granted["headers"]) < 300
    assert await code_of(send(alice, granted["mediaKey"], chat, caption="x" * 60_000)) == "too_large"
    assert await code_of(send(alice, granted["mediaKey"], chat, mimeType="text/html")) == "bad_frame"
    assert await code_of(send(alice, granted["mediaKey"], chat)) == ""
    as_document = await upload(alice, HTML, "text/html", filename="page.html")
    await send(alice, as_document, chat, mimeType="text/html", size=len(HTML))
    _, _, headers = await download(bob, as_document)
    assert headers["content-disposition"].startswith("attachment")
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"


async def test_a_race_does_not_get_past_the_quota(scene: Scene) -> None:
    alice = await scene.person("alice")
    body = {"contentType": "application/zip", "size": 9 * 1024 * 1024, "sha256": "0" * 64}
    codes = await asyncio.gather(*(code_of(alice.http("POST", "/v1/media/uploads", body)) for _ in range(12)))
    assert sorted(codes) == [""] * 4 + ["too_large"] * 8
    with pytest.raises(Refused) as refused:
        await alice.http("POST", "/v1/media/uploads", body)
    assert refused.value.body["error"]["used"] == 36 * 1024 * 1024
    assert refused.value.body["error"]["allowed"] == 40 * 1024 * 1024


async def test_deleting_for_everyone_takes_the_file_from_everyone(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    key = await upload(alice)
    chat = dm(alice, bob)
    await send(alice, key, chat)
    await alice.http("DELETE", f"/v1/conversations/{chat}/messages/1")
    assert not await sees(bob, key)
    assert await sees(alice, key), "it is his own until it is collected"


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_a_crash_between_upload_and_send_loses_neither(new_server: NewServer, new_scene: NewScene) -> None:
    scene = new_scene(new_server())
    alice, bob = await scene.people("alice", "bob")
    key = await upload(alice)
    await scene.restart()
    await send(alice, key, dm(alice, bob))
    await scene.restart()
    assert await sees(bob, key)
    assert (await download(bob, key))[1] == PNG
    assert (await send(alice, key, dm(alice, bob)))["sequenceNumber"] == 1


async def test_a_crash_in_the_middle_of_an_upload_leaves_a_way_on(new_server: NewServer, new_scene: NewScene) -> None:
    scene = new_scene(new_server())
    alice, bob = await scene.people("alice", "bob")
    content = PNG * 80
    granted = await alice.http("POST", "/v1/media/uploads", wish(content, "image/png"))
    half = len(content) // 2
    wire = scene.wire
    never = asyncio.Event()

    async def half_of_it() -> AsyncIterator[bytes]:
        yield content[:half]
        await never.wait()

    async def arrived() -> bool:
        media = scene.server.data / "media"
        return any(path.stat().st_size for path in media.rglob(f"*{granted['mediaKey']}*") if path.is_file())

    headers = granted["headers"] | {"content-length": str(len(content))}
    sending = asyncio.create_task(
        _ignore(wire.client.put(wire.url + granted["uploadUrl"], data=half_of_it(), headers=headers))
    )
    await scene.until(arrived)
    await scene.restart()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert await code_of(send(alice, granted["mediaKey"], dm(alice, bob), size=len(content))) == "not_found"
    again = await alice.http("POST", "/v1/media/uploads", wish(content, "image/png", mediaKey=granted["mediaKey"]))
    assert again["mediaKey"] == granted["mediaKey"]
    assert await put(alice, again["uploadUrl"], content, again["headers"]) < 300
    await send(alice, granted["mediaKey"], dm(alice, bob), size=len(content))
    assert (await download(bob, granted["mediaKey"]))[1] == content


async def _ignore(request: Any) -> None:
    try:
        async with request as answer:
            await answer.read()
    except aiohttp.ClientError:
        return


# --- what the server finds out ----------------------------------------------------------------------------------------


def picture(width: int = 640, height: int = 320) -> bytes:
    """Return a picture with metadata that nobody else is to see."""
    made = io.BytesIO()
    exif = Image.Exif()
    exif[270] = "a secret place"
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(made, "JPEG", exif=exif)
    return made.getvalue()


async def sent_picture(alice: Person, bob: Person, content: bytes) -> str:
    key = await upload(alice, content, "image/jpeg")
    body = message(key, dm(alice, bob), size=len(content)) | {"contentType": "image"}
    body["content"]["mimeType"] = "image/jpeg"
    await alice.http("POST", "/v1/messages", body)
    return key


async def test_members_are_told_of_a_thumbnail_that_holds_no_metadata(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    a, b = await alice.ready(), await bob.ready()
    key = await sent_picture(alice, bob, picture())
    seen: Frame = {}
    for peer in (a, b):
        seen = await peer.expect("media")
        assert (seen["conversationId"], seen["mediaKey"], seen["thumbnail"]) == (dm(alice, bob), key, True)
        assert (seen["width"], seen["height"]) == (640, 320)
        assert seen["blurhash"]
    told = await bob.http("GET", f"/v1/media/{key}?redirect=false")
    assert {name: told[name] for name in ("width", "height", "blurhash")} == {
        name: seen[name] for name in ("width", "height", "blurhash")
    }
    status, small, headers = await download(bob, f"{key}?variant=thumbnail")
    assert status == 200
    assert headers["content-type"] in {"image/webp", "image/jpeg"}
    with Image.open(io.BytesIO(small)) as thumbnail:
        assert max(thumbnail.size) <= 480
        assert not thumbnail.getexif()
    assert b"a secret place" not in small


async def test_a_file_that_was_not_looked_at_before_a_crash_is_after_it(
    new_server: NewServer, new_scene: NewScene
) -> None:
    scene = new_scene(new_server(MEDIA_INSPECTION_PROCESSES="1"))
    alice, bob = await scene.people("alice", "bob")
    keys = [await sent_picture(alice, bob, picture(1200 + number, 900)) for number in range(6)]
    await scene.restart()

    async def all_seen() -> bool:
        answers = [await bob.http("GET", f"/v1/media/{key}?redirect=false") for key in keys]
        return all(answer["thumbnail"] for answer in answers)

    await scene.until(all_seen)


async def test_of_a_broken_picture_nothing_is_shown_and_it_can_be_fetched(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    content = picture()[:2000]
    key = await sent_picture(alice, bob, content)

    unseen = 'cooee_media_unseen_total{reason="broken"}'
    await scene.until(lambda: scene.reaches(unseen, 1.0))
    assert await code_of(bob.http("GET", f"/v1/media/{key}?variant=thumbnail")) == "not_found"
    assert (await download(bob, key))[1] == content
