"""Cursors of lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import is_user_id
from cooee.gateway.http.paging import MAX_PAGE, PageQuery, from_cursor, page_of, to_cursor


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_a_cursor_leads_back_to_its_place(place: str) -> None:
    cursor = to_cursor(place)
    assert cursor.isascii()
    assert from_cursor(cursor, lambda _: True) == place


@given(st.text(min_size=1, max_size=100) | st.text("ABCxyz019-_=", min_size=1))
def test_what_this_server_did_not_give_is_refused(cursor: str) -> None:
    """Whatever stands there: a valid place, or the one refusal."""
    code = place = None
    try:
        place = from_cursor(cursor, is_user_id)
    except CooeeError as refusal:
        code = refusal.code
    assert code is ErrorCode.BAD_FRAME or (place is not None and is_user_id(place))


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    names = [f"user{number:03d}" for number in range(25)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        after = from_cursor(cursor, is_user_id)
        found = [name for name in names if name > after][:11]
        page = page_of(found, 10, str)
        seen += page.items
        cursor = page.next_cursor
    assert seen == names


@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_last_page_has_no_cursor(count: int) -> None:
    assert page_of(["x"] * count, 10, str).next_cursor is None


def test_a_page_has_a_most() -> None:
    assert PageQuery(limit=10**9).size == MAX_PAGE
