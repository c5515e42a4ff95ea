"""What the store keeps of messages beside their texts; and that deleting one is for good, whatever comes later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.client.changes import Edit, MessageKey, Reaction
from cooee.client.message_store import INDEXED_FROM
from cooee.client.model import Message
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.domain.reference import reference_of
from tests.fakes.client_frames import CHAT, ME
from tests.fakes.client_store import STORE_KEY

SECRET = "the treasure is under the third palm"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path, STORE_KEY)
    yield opened
    opened.close()


def ref(number: int) -> str:
    """Return how message ``number`` is named."""
    return reference_of("bob", "d7", f"c{number}")


def message(number: int, text: object = SECRET, content_type: str = "text", **more: Any) -> Message:
    return Message(
        CHAT, number, f"m{number}", "bob", "d7", f"c{number}", number * 1000, content_type, text, encrypted=True, **more
    )


def unreadable(number: int) -> Message:
    return message(number, "Y2lwaGVydGV4dA", "encrypted", problem="waiting")


def key(number: int, octet: bytes = b"K") -> MessageKey:
    return MessageKey(CHAT, number, "bob", "d7", f"c{number}", octet * 32)


def commit(store: Store, *messages: Message, **changes: Any) -> None:
    turn = Turn(store.load(ME))
    turn.messages = {(one.conversation_id, one.sequence_number): one for one in messages}
    for name, value in changes.items():
        setattr(turn, name, value)
    assert not turn.is_empty
    store.commit(turn)


def held(store: Store, number: int = 1) -> Message:
    found = store.find_message(CHAT, number)
    assert found is not None
    return found


def found_key(store: Store, number: int = 1) -> bytes | None:
    return store.message_key(CHAT, "bob", "d7", f"c{number}")


def everything(store: Store) -> str:
    """Return all that the tables hold, so that nothing can hide in one."""
    tables = [name for (name,) in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return repr([store._db.execute(f"SELECT * FROM {name}").fetchall() for name in tables])


# --- records and keys


def test_records_are_there_again_as_they_were_committed(store: Store) -> None:
    commit(store, records={("session", "bob/d7"): b"\x00one", ("session", "bob/d8"): b"two", ("own", ""): b""})
    commit(store, records={("session", "bob/d7"): b"three", ("session", "bob/d8"): None, ("session", "gone"): None})
    assert store.load_records() == {("session", "bob/d7"): b"three", ("own", ""): b""}


def test_a_key_is_found_by_who_sent_the_message(store: Store) -> None:
    commit(store, message_keys=[key(1), key(2, b"L")])
    assert found_key(store, 2) == b"L" * 32
    assert store.message_key(CHAT, "bob", "d8", "c2") is None
    assert store.message_key("dm:alice:carol", "bob", "d7", "c2") is None


def test_keys_are_listed_page_by_page_each_once(store: Store) -> None:
    keys = [key(number) for number in range(25)]
    commit(store, message_keys=keys)
    listed: list[MessageKey] = []
    while page := store.held_keys(listed[-1] if listed else None, 10):
        assert len(page) <= 10
        listed += page
    assert sorted(listed) == sorted(keys)


def test_how_far_other_devices_messages_were_taken_in_is_kept_for_this_device(store: Store) -> None:
    commit(store, to_device=7, keeps_to_device=True)
    assert store.load(ME).to_device == 7
    assert store.load(DeviceRef("alice", "d2")).to_device == 0


def test_a_place_that_is_not_to_be_kept_is_not(store: Store) -> None:
    commit(store, records={("own", ""): b""}, to_device=7)
    assert store.load(ME).to_device == 0


# --- what cannot be read


def test_a_copy_that_cannot_be_read_replaces_nothing_readable(store: Store) -> None:
    commit(store, message(1))
    commit(store, unreadable(1))
    store.put_history(ME, CHAT, [unreadable(1)], 1, 1)
    assert held(store).content == SECRET
    assert store.unreadable(9) == []


def test_what_can_be_read_at_last_replaces_what_could_not(store: Store) -> None:
    commit(store, unreadable(1))
    assert held(store).problem == "waiting"
    assert store.search(SECRET, None, 9) == []
    commit(store, message(1))
    assert held(store).problem == ""
    assert store.search(SECRET, None, 9) == [held(store)]


def test_what_waits_for_its_key_is_found_when_the_key_has_come(store: Store) -> None:
    commit(store, unreadable(1), unreadable(2), unreadable(3), message(4))
    assert store.unreadable_with_key(9) == []
    commit(store, message_keys=[key(3), key(2), key(4)])
    assert [(one.sequence_number, found) for one, found in store.unreadable_with_key(9)] == [
        (2, b"K" * 32),
        (3, b"K" * 32),
    ]
    assert len(store.unreadable_with_key(1)) == 1
    assert [one.sequence_number for one in store.unreadable(9)] == [1, 2, 3]
    assert len(store.unreadable(2)) == 2


# --- deleting for good


def test_with_a_message_go_its_text_its_key_and_what_was_said_of_it(store: Store) -> None:
    commit(
        store,
        message(1),
        message(2, "stays"),
        message_keys=[key(1), key(2)],
        reactions=[Reaction(CHAT, ref(1), "carol", 3, "🏴")],
        edits=[Edit(CHAT, ref(1), "bob", 4, f"no, {SECRET}")],
    )
    commit(store, erased=[(CHAT, 1)])
    assert held(store).deleted
    assert found_key(store) is None
    assert found_key(store, 2) == b"K" * 32
    for gone in ("treasure", "palm", "🏴", "🏴".encode("unicode_escape").decode()):
        assert gone not in everything(store)


def test_whatever_comes_later_a_deleted_message_stays_deleted_and_gets_no_key(store: Store) -> None:
    commit(store, erased=[(CHAT, 1)])
    commit(store, unreadable(1), message_keys=[key(1)])
    commit(store, message(1), message_keys=[key(1)], edits=[Edit(CHAT, ref(1), "bob", 9, SECRET)])
    store.put_history(ME, CHAT, [message(1)], 1, 1)
    assert held(store).deleted
    assert found_key(store) is None
    assert store.search("treasure", None, 9) == []
    assert store.unreadable(9) == []


def test_a_key_that_comes_with_the_deletion_is_not_kept(store: Store) -> None:
    commit(store, message(1), message_keys=[key(1)], erased=[(CHAT, 1)])
    assert found_key(store) is None


def test_a_sender_deletes_his_own_message_whichever_comes_first(store: Store) -> None:
    deletion = Edit(CHAT, ref(1), "bob", 5, None)
    commit(store, message(1), message_keys=[key(1)])
    commit(store, edits=[deletion])
    assert held(store).deleted
    assert found_key(store) is None
    commit(store, edits=[Edit(CHAT, ref(2), "bob", 6, None)])
    commit(store, message(2), message_keys=[key(2)])
    commit(store, unreadable(3))
    commit(store, edits=[Edit(CHAT, ref(3), "bob", 7, None)])
    assert [held(store, number).deleted for number in (2, 3)] == [True, True]
    assert found_key(store, 2) is None
    assert "treasure" not in everything(store)


def test_what_was_deleted_is_not_edited_back(store: Store) -> None:
    commit(store, edits=[Edit(CHAT, ref(1), "bob", 5, None), Edit(CHAT, ref(1), "bob", 6, "back")])
    commit(store, message(1))
    assert held(store).deleted


def test_a_deletion_counts_though_an_edit_with_a_greater_number_came_before_it(store: Store) -> None:
    commit(store, edits=[Edit(CHAT, ref(1), "bob", 6, "later"), Edit(CHAT, ref(1), "bob", 5, None)])
    commit(store, message(1))
    assert held(store).deleted


def test_nothing_of_a_deleted_text_stays_in_the_index(store: Store) -> None:
    def index() -> bytes:
        return b"".join(block for (block,) in store._db.execute("SELECT block FROM texts_data"))

    commit(store, message(1, "zqj"), message(2, "abc"))
    assert b"zqj" in index()
    commit(store, edits=[Edit(CHAT, ref(1), "bob", 5, "kxw")])
    assert b"zqj" not in index()
    assert b"kxw" in index()
    commit(store, erased=[(CHAT, 1)])
    assert b"kxw" not in index()
    assert b"abc" in index()


# --- edits and reactions


def test_the_newest_edit_counts_in_whichever_order_they_come_and_is_searched(store: Store) -> None:
    early, late = Edit(CHAT, ref(1), "bob", 5, "first try"), Edit(CHAT, ref(1), "bob", 6, "second try")
    commit(store, message(1), edits=[late])
    commit(store, edits=[early])
    commit(store, edits=[late])
    assert (held(store).text, held(store).edited) == ("second try", True)
    assert store.search("second", None, 9) == [held(store)]
    for gone in ("first", "treasure"):
        assert store.search(gone, None, 9) == []


def test_an_edit_waits_for_its_target_and_outlives_a_second_copy(store: Store) -> None:
    commit(store, edits=[Edit(CHAT, ref(1), "bob", 5, "edited")])
    commit(store, unreadable(1))
    assert held(store).content_type == "encrypted"
    commit(store, message(1))
    store.put_history(ME, CHAT, [message(1)], 1, 1)
    assert (held(store).text, held(store).edited) == ("edited", True)
    assert "treasure" not in everything(store)


def test_nobody_edits_or_deletes_the_message_of_another(store: Store) -> None:
    commit(store, message(1))
    commit(store, edits=[Edit(CHAT, ref(1), "mallory", 5, "mine"), Edit("dm:alice:carol", ref(1), "bob", 6, None)])
    commit(store, edits=[Edit(CHAT, ref(1), "mallory", 7, None)])
    assert (held(store).text, held(store).edited) == (SECRET, False)


def test_of_a_file_the_caption_is_edited(store: Store) -> None:
    content = {"mediaKey": "k", "mimeType": "image/png", "size": 3, "caption": "before"}
    commit(store, message(1, content, "image"), edits=[Edit(CHAT, ref(1), "bob", 5, "after")])
    assert held(store).content == content | {"caption": "after"}


def test_of_one_users_reactions_the_newest_counts(store: Store) -> None:
    commit(
        store,
        message(1),
        reactions=[
            Reaction(CHAT, ref(1), "carol", 5, "👍"),
            Reaction(CHAT, ref(1), "dave", 4, "🎉"),
            Reaction(CHAT, ref(1), "carol", 3, "👎"),
        ],
    )
    assert held(store).reactions == {"carol": "👍", "dave": "🎉"}
    commit(store, reactions=[Reaction(CHAT, ref(1), "carol", 6, "")])
    commit(store, reactions=[Reaction(CHAT, ref(1), "carol", 5, "👍")])
    assert held(store).reactions == {"dave": "🎉"}
    assert [found.reactions for found in store.search("treasure", None, 9)] == [{"dave": "🎉"}]


def test_what_is_said_follows_the_sealed_name_and_not_the_servers_id(store: Store) -> None:
    commit(store, msgspec.structs.replace(message(1, "one"), message_id="m2"))
    commit(store, msgspec.structs.replace(message(2, "two"), message_id="m1"))
    commit(store, edits=[Edit(CHAT, ref(1), "bob", 5, "uno")], reactions=[Reaction(CHAT, ref(2), "carol", 6, "👍")])
    assert [(held(store, number).text, held(store, number).reactions) for number in (1, 2)] == [
        ("uno", {}),
        ("two", {"carol": "👍"}),
    ]


def test_a_copy_that_the_server_made_takes_no_edit_and_no_reply_from_the_original(store: Store) -> None:
    forged = msgspec.structs.replace(message(2, "forged"), client_message_id="c3", encrypted=False)
    commit(store, forged, message(3, "true"), message(4, "so?", reply_reference=ref(3)))
    commit(store, edits=[Edit(CHAT, ref(3), "bob", 5, "truer")])
    assert held(store, 3).text == "truer"
    assert held(store, 4).reply_to == "m3"
    commit(store, edits=[Edit(CHAT, ref(3), "bob", 6, None)])
    assert [held(store, number).deleted for number in (2, 3)] == [True, True]
    assert [found.sequence_number for found in store.find_targets(CHAT, ref(3))] == [2, 3]


def test_a_reply_answers_what_is_held_under_the_id_that_it_has_here(store: Store) -> None:
    reply = message(2, "why?", reply_to="m7", reply_reference=ref(1))
    commit(store, reply)
    assert held(store, 2).reply_to is None
    commit(store, message(1))
    assert held(store, 2).reply_to == "m1"
    assert [found.reply_to for found in store.search("why", None, 9)] == ["m1"]


def test_system_messages_have_no_name(store: Store) -> None:
    commit(store, message(1, {"event": "member_joined"}, "system"))
    assert held(store).reference == ""
    assert store.find_targets(CHAT, ref(1)) == []


# --- disappearing messages


def test_what_has_expired_is_told_the_oldest_first_and_nothing_else(store: Store) -> None:
    assert store.next_expiry() is None
    commit(store, message(1), message(2, expires_at=9000), message(3, expires_at=8000), message(4, expires_at=9001))
    assert store.next_expiry() == 8000
    assert store.expired(7999, 9) == []
    assert store.expired(9000, 9) == [(CHAT, 3), (CHAT, 2)]
    assert store.expired(9000, 1) == [(CHAT, 3)]
    commit(store, message_keys=[key(3)])
    commit(store, erased=store.expired(9000, 9))
    assert store.expired(9000, 9) == []
    assert store.next_expiry() == 9001
    assert found_key(store, 3) is None


# --- search


@pytest.mark.parametrize(
    "hostile",
    ['"', '""', "a OR b", "NEAR(a b)", "text: x", "palm*", "-palm", "^the", "(", "'; DROP TABLE messages; --", "\x00",
     "%", "_", "\\", "\ud800", "x" * 100_000, "a AND NOT b", "{text}: a", "palm + tree", "*" * 5000],
)  # fmt: skip
def test_nothing_in_a_search_is_an_operator(store: Store, hostile: str) -> None:
    commit(store, message(1), message(2, f"<{hostile}>" if hostile.isprintable() else "nothing"))
    found = [one.sequence_number for one in store.search(hostile, None, 9)]
    assert found == ([2] if hostile.isprintable() else [])
    assert held(store).content == SECRET


@pytest.mark.parametrize(
    "wanted", ["日", "日本", "日本語", "本語の", "ÄRGER", "är", "straße", "STRASSE", "ΌΔΟΣ", "👍🏽"]
)
def test_any_script_is_found_by_parts_and_in_any_case(store: Store, wanted: str) -> None:
    commit(store, message(1, "これは日本語の文です. Ärger in der Straße όδος 👍🏽!"), message(2, "else"))
    assert [one.sequence_number for one in store.search(wanted, None, 9)] == [1]


def test_the_index_is_asked_where_it_can_answer(store: Store) -> None:
    plan = "EXPLAIN QUERY PLAN SELECT message FROM messages WHERE instr(text, ?) > 0 AND row IN"
    steps = store._db.execute(f"{plan} (SELECT rowid FROM texts WHERE texts MATCH ?)", ("abc", '"abc"')).fetchall()
    assert not any("SCAN messages" in step[3] for step in steps)
    assert INDEXED_FROM == 3


def test_a_turn_with_nothing_in_it_is_empty(store: Store) -> None:
    assert Turn(store.load(ME)).is_empty


def test_a_copy_under_another_number_is_not_opened_with_the_key_of_the_message(store: Store) -> None:
    commit(store, message(1), message_keys=[key(1)])
    copy = msgspec.structs.replace(unreadable(7), client_message_id="c1")
    commit(store, copy)
    assert store.unreadable_with_key(10) == []
    commit(store, unreadable(2), message_keys=[key(2), key(1)._replace(sequence_number=7, key=b"Z" * 32)])
    assert [(found.sequence_number, octets) for found, octets in store.unreadable_with_key(10)] == [(2, b"K" * 32)]
    assert store.find_key(CHAT, "bob", "d7", "c1") == key(1)


def test_what_came_encrypted_is_not_replaced_by_what_did_not(store: Store) -> None:
    commit(store, message(1), unreadable(2))
    for number in (1, 2):
        forged = msgspec.structs.replace(message(number, "I owe you 1,000"), encrypted=False)
        store.put_history(ME, CHAT, [forged], number, number)
    assert held(store).text == SECRET
    assert held(store, 2).problem == "waiting"
    commit(store, message(2, "opened"))
    assert held(store, 2).text == "opened"
