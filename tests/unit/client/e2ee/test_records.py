"""Records are read strictly, kept as bytes until they are needed, and changed on a page that may be thrown away."""

import pytest

from cooee.client.e2ee import book as books
from cooee.client.e2ee import kinds
from cooee.client.e2ee.book import Book, Page
from cooee.client.e2ee.kinds import GroupState, Todo, UserState, Waiting
from cooee.domain.ids import DeviceRef

STATES = [
    GroupState(3, {"a": 1}, {"a": 2}, "hash", {"a": 1}, (("b", 1, 2),), True),
    UserState(True, False, 3, b"k", {"d": b"i"}, ("d",), {"e": kinds.Former(b"j", 5)}, True, 7, b"h"),
    Waiting("dm:a:b", 1, DeviceRef("a", "d"), "c", 1, "e", None, 0, "", "list", 3, 2, True, b"d"),
    Todo((kinds.Task(b"{}", "session"),)),
    kinds.OutFrame((kinds.OutItem(DeviceRef("a", "d"), "AAAA", "group:g", 3),), 4),
    kinds.Holders(3, {"a/d": kinds.Holder(b"i", True, False)}),
]
NAMES = {type_: kind for kind, type_ in kinds.TYPES.items()}


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
def test_what_is_written_is_read(state: object) -> None:
    data = kinds.dump(state)
    assert kinds.load(NAMES[type(state)], data) == state
    assert repr(state) == f"<{type(state).__name__}>"


@pytest.mark.parametrize("data", [b"", b"\x02\x90", b"\x01", b"\x01\xc1", b"\x01\x91\xa1x"])
def test_damaged_and_newer_records_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="of kind group"):
        kinds.load("group", data)


def test_a_shorter_record_of_an_older_program_is_read() -> None:
    assert kinds.load("group", b"\x01\x91\x03") == GroupState(3)


def test_devices_have_one_name() -> None:
    ref = DeviceRef("a.b-c", "D_1-x")
    assert kinds.ref_of(kinds.device_id_of(ref)) == ref


def test_a_page_shows_its_changes_and_leaves_the_book_alone() -> None:
    book = Book({("group", "g"): kinds.dump(GroupState(1)), ("todo", "a/d"): kinds.dump(Todo())})
    page = Page(book)
    page.put("group", "g", GroupState(2))
    page.put("group", "h", GroupState(3))
    page.drop("todo", "a/d")
    page.drop("todo", "never/there")
    assert page.ids("group") == ["g", "h"]
    assert page.ids("todo") == []
    assert (page.count("group"), page.count("todo")) == (2, 0)
    assert book.find("group", "g") == GroupState(1)
    assert Page(book).count("todo") == 1
    assert page.dumped() == {
        ("group", "g"): kinds.dump(GroupState(2)),
        ("group", "h"): kinds.dump(GroupState(3)),
        ("todo", "a/d"): None,
    }
    page.install()
    assert book.find("group", "g") == GroupState(2)
    assert book.find("todo", "a/d") is None
    assert book.versions == {"group": 2, "todo": 1}


def test_what_came_and_went_on_one_page_is_not_stored() -> None:
    page = Page(Book({}))
    page.put("group", "g", GroupState(1))
    page.drop("group", "g")
    assert page.dumped() == {}


def test_few_records_are_kept_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert books.PARSED_LIMIT == 2_000
    monkeypatch.setattr(books, "PARSED_LIMIT", 3)
    book = Book({("user", f"u{number}"): kinds.dump(UserState(version=number)) for number in range(10)})
    for number in range(10):
        assert book.find("user", f"u{number}") == UserState(version=number)
        assert len(book._parsed["user"]) <= 3


def test_a_device_without_records_says_so() -> None:
    page = Page(Book({}))
    assert not page.has_device
    with pytest.raises(LookupError):
        repr(page.device)
