"""Messages as applications see them."""

import msgspec
import pytest

from cooee.client.model import message_of
from cooee.protocol import frames
from tests.fakes.client_frames import ME, pending, raw, said, told


def test_a_text() -> None:
    message = message_of(said(3, "hi", sender="alice", device="d1"))
    assert (message.text, message.event, message.deleted, message.counts_as_unread) == ("hi", "", False, True)
    assert message.sent_by(ME)
    assert not message_of(said(3, sender="alice", device="d2")).sent_by(ME)


def test_a_picture_shows_its_caption() -> None:
    picture = msgspec.structs.replace(said(1), content_type="image", content=raw({"caption": "look", "size": 3}))
    assert message_of(picture).text == "look"
    assert message_of(msgspec.structs.replace(picture, content=raw({"caption": 3}))).text == ""


def test_what_stands_in_no_unread_count() -> None:
    deleted = msgspec.structs.replace(said(1), content_type="deleted", content=msgspec.UNSET)
    assert message_of(deleted).deleted
    for frame in (told(1, "group_renamed", name="G"), said(1, silent=True), deleted):
        assert not message_of(frame).counts_as_unread
    assert message_of(told(1, "group_renamed", name="G")).event == "group_renamed"


def test_a_pending_message_becomes_what_the_server_will_show() -> None:
    entry = msgspec.structs.replace(pending("k1"), reply_to="7", mentions=("bob",), silent=True)
    frame = entry.frame()
    shown = frames.MessageFrame(
        "99",
        entry.conversation_id,
        4,
        "alice",
        "d1",
        "k1",
        5,
        frame.content_type,
        frame.content,
        frame.reply_to,
        frame.mentions,
        frame.silent,
    )
    assert entry.placed(ME, "99", 4, 5) == message_of(shown)


@pytest.mark.parametrize("content", [b"1e999", b'"\\ud800"', b"[" * 2_000 + b"]" * 2_000])
def test_content_that_cannot_be_read_is_none(content: bytes) -> None:
    message = message_of(msgspec.structs.replace(said(3), content=msgspec.Raw(content)))
    assert (message.content, message.text) == (None, "")


def test_a_file_in_the_clear_does_not_pass_for_an_encrypted_one() -> None:
    content = {"mediaKey": "k" * 22, "mimeType": "image/png", "size": 3, "key": "K", "digest": "D", "picture": "P"}
    clear = message_of(msgspec.structs.replace(said(3), content_type="image", content=raw(content)))
    assert clear.media is not None
    assert (clear.media.encrypted, clear.media.digest, clear.media.picture) == (False, "", "")
    sealed = msgspec.structs.replace(clear, encrypted=True).media
    assert sealed is not None
    assert (sealed.encrypted, sealed.key, sealed.picture) == (True, "K", "P")
