"""The full-text index finds what a look at every text finds, whatever happened to the messages before."""

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.client.changes import Edit
from cooee.client.folding import fold
from cooee.client.message_store import INDEXED_FROM
from cooee.client.model import Message
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.reference import reference_of
from tests.fakes.client_frames import CHAT, ME
from tests.fakes.client_store import STORE_KEY

LETTERS = "aAbBß\"'*%_^-:()\x00 ÄäİıσςΣ日本語👍🏽e\u0301\ufffd"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=8) | st.text(max_size=6)
NUMBERS = st.integers(1, 6)

PUT = st.tuples(st.just("put"), NUMBERS, TEXTS)
EDIT = st.tuples(st.just("edit"), NUMBERS, st.none() | TEXTS)
HIDE = st.tuples(st.just("encrypted"), NUMBERS, st.just(""))
ERASE = st.tuples(st.just("erase"), NUMBERS, st.just(""))
STEPS = st.lists(PUT | PUT | EDIT | HIDE | ERASE, max_size=14)


def ref(number: int) -> str:
    """Return how message ``number`` is named."""
    return reference_of("bob", "d7", f"c{number}")


def message(number: int, text: str, content_type: str = "text") -> Message:
    return Message(CHAT, number, f"m{number}", "bob", "d7", f"c{number}", number, content_type, text)


def turn_of(store: Store, at: int, kind: str, number: int, text: str | None) -> Turn:
    turn = Turn(store.load(ME))
    if kind == "edit":
        turn.edits = [Edit(CHAT, ref(number), "bob", 100 + at, text)]
    elif kind == "erase":
        turn.erased = [(CHAT, number)]
    else:
        turn.messages = {(CHAT, number): message(number, text or "", "encrypted" if kind == "encrypted" else "text")}
    return turn


@given(STEPS, st.lists(TEXTS, min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_the_index_finds_what_reading_all_texts_finds(
    steps: list[tuple[str, int, str | None]], wanted: list[str], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder), STORE_KEY)) as store:
        for at, (kind, number, text) in enumerate(steps):
            store.commit(turn_of(store, at, kind, number, text))
        held = [found for number in range(6, 0, -1) if (found := store.find_message(CHAT, number)) is not None]
        for found in held:
            if found.text:
                begin = data.draw(st.integers(0, len(found.text)))
                wanted.append(found.text[begin : begin + data.draw(st.integers(0, 5))])
        for text in wanted:
            all_found = store.search(text, None, 99)
            assert {one.sequence_number for one in all_found} == {
                one.sequence_number for one in held if fold(text) in fold(one.text)
            }
            assert [one.timestamp for one in all_found] == sorted((one.timestamp for one in all_found), reverse=True)
            assert store.search(text, CHAT, 2) == all_found[:2]
            assert store.search(text, "dm:alice:carol", 9) == []
        store._db.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")
        texts = dict(store._db.execute("SELECT row, text FROM messages"))
        indexed = {
            row: {text[place : place + INDEXED_FROM] for place in range(len(text) - INDEXED_FROM + 1)}
            for row, text in texts.items()
        }
        store._db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, texts, instance)")
        found_terms: dict[int, set[str]] = {row: set() for row in texts}
        for row, term in store._db.execute("SELECT doc, term FROM temp.terms"):
            found_terms[row].add(term)
        assert found_terms == indexed, "nothing is left in the index of what was deleted or changed"


@given(st.text(), st.text(), st.text())
def test_folding_goes_character_by_character(before: str, part: str, after: str) -> None:
    assert fold(part) in fold(before + part + after)
    assert fold(before + part) == fold(before) + fold(part)
    assert fold(fold(part)) == fold(part)
