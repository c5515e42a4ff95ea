"""What is stored for search and what is asked are folded alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.search import fold, search_prefix, search_terms


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Anna", "anna"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁne", "fine"),
        ("  two \t\n words ", "two words"),
        ("nul\x00 and \u200bbell\x07", "nul and \u200bbell"),
        ("e\x07\u0301", "\u00e9"),
        ("\U0010ffff\ud800", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_terms_are_the_user_id_and_the_name_from_each_word_on() -> None:
    assert search_terms("ann.smith", "Maria Müller-Lüdenscheidt") == {
        "ann.smith",
        "maria müller-lüdenscheidt",
        "müller-lüdenscheidt",
        "lüdenscheidt",
    }
    assert search_terms("bob", "") == {"bob"}
    assert search_terms("bob", "!?") == {"bob"}


def test_terms_are_bounded() -> None:
    terms = search_terms("bob", "word " * 1000 + "x" * 1000)
    assert len(terms) <= 17
    assert max(len(term) for term in terms) <= 64


@given(st.text(max_size=200))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=200))
def test_any_text_can_be_stored_and_asked(text: str) -> None:
    for term in search_terms("bob", text):
        term.encode()
    search_prefix(text).encode()


@given(st.lists(st.text("abcdefgäöü", min_size=1, max_size=8), min_size=1, max_size=8), st.data())
def test_every_word_is_found_by_each_of_its_prefixes(words: list[str], data: st.DataObject) -> None:
    terms = search_terms("bob", " ".join(words))
    word = data.draw(st.sampled_from(words))
    query = word[: data.draw(st.integers(1, len(word)))].upper()
    assert any(term.startswith(search_prefix(query)) for term in terms)
