"""What the store keeps of files."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cooee.client.errors import SendFailed
from cooee.client.events import MediaUpdated
from cooee.client.ledger import Ledger
from cooee.client.live import Live
from cooee.client.model import Message
from cooee.client.outbox import failed
from cooee.client.sending import Sending
from cooee.client.state import State
from cooee.client.store import Store
from cooee.protocol import frames
from tests.fakes.client_frames import CHAT, ME, raw, said, take, told
from tests.fakes.client_store import STORE_KEY
from tests.unit.client.media_server import KEY, entry_of

CONTENT = {"mediaKey": KEY, "mimeType": "image/png", "size": 3, "width": 7}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path, STORE_KEY)
    yield opened
    opened.close()


def image(number: int = 1) -> frames.MessageFrame:
    return msgspec.structs.replace(said(number), content_type="image", content=raw(CONTENT))


def stored(store: Store, *taken: frames.ServerFrame) -> list[object]:
    state = store.load(ME)
    turn = take(state, *taken)
    store.commit(turn)
    return list(turn.events)


def seen(**more: object) -> frames.MediaSeen:
    return frames.MediaSeen(CHAT, KEY, thumbnail=True, width=100, height=50, **more)  # type: ignore[arg-type]


def last(store: Store) -> Message:
    found = store.last_message(CHAT)
    assert found is not None
    return found


def test_an_upload_is_kept_until_its_message_is_in_the_outbox(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"tea")
    entry = entry_of(path)
    store.put_upload(entry)
    begun = entry_of(path, media_key=KEY, parts_done=(0, 2))
    store.put_upload(begun)
    assert store.uploads() == [begun]
    message = store.finish_upload(begun.message("d1"))
    assert not store.uploads()
    assert list(store.load(ME).outbox.entries()) == [message]
    store.put_upload(entry_of(path, client_message_id="c2"))
    store.drop_upload("c2")
    assert not store.uploads()


def test_what_the_server_found_out_is_told_and_stands_in_the_message(store: Store) -> None:
    stored(store, image())
    [event] = [event for event in stored(store, seen(blurhash="LEHV6n")) if isinstance(event, MediaUpdated)]
    assert (event.media_key, event.thumbnail, event.height) == (KEY, True, 50)
    media = last(store).media
    assert media is not None
    assert (media.thumbnail, media.height, media.blurhash) == (True, 50, "LEHV6n")
    assert media.width == 7, "what the sender said stays"


def test_it_may_come_before_the_message_and_is_not_lost_by_a_repetition(store: Store) -> None:
    stored(store, seen())
    stored(store, image())
    stored(store, image())
    media = last(store).media
    assert media is not None
    assert media.thumbnail


def test_what_is_known_of_a_deleted_file_goes_too(store: Store) -> None:
    stored(store, image(), seen())
    stored(store, told(2, "message_deleted", chat=CHAT, sequenceNumber=1))
    stored(store, image(3))
    media = last(store).media
    assert media is not None
    assert not media.thumbnail


async def test_a_failed_message_without_its_file_cannot_be_sent_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"tea")  # three bytes
    store.finish_upload(failed(entry_of(path).message("d1"), "bad_frame", "it was changed"))
    state: State = store.load(ME)
    sending = Sending(Ledger(store, state), Live(state), lambda: None)
    with pytest.raises(SendFailed, match="anew"):
        await sending.retry("c1")
