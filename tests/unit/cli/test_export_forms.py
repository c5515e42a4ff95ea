"""A conversation in three forms: whole, stable, and harmless whatever people wrote and are called."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from cooee.cli.export_forms import Entry, Form, Head, JsonLines, PlainText
from cooee.cli.export_html import POLICY, Html, escaped
from cooee.cli.render import Look
from cooee.client import Message

CHAT = "dm:alice:bob"
NOON = 1_767_268_800_000
"""2026-01-01 12:00 UTC, in ms."""
DAY = 86_400_000
HEAD = Head(CHAT, "direct", "Bob B.", "alice", "https://one.example", NOON + DAY)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the local time be UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def said(number: int, text: str, sender: str = "bob", **more: object) -> Message:
    fields = {"timestamp": NOON, "content_type": "text", "content": text} | more
    return Message(CHAT, number, f"m{number}", sender, "d", "c", **fields)  # type: ignore[arg-type]


def written(form: Form, *entries: Entry, head: Head = HEAD) -> str:
    return form.begin(head) + "".join(form.entry(entry) for entry in entries) + form.end(len(entries))


ENTRIES = (
    Entry(said(1, "hello"), "Bob B."),
    Entry(said(2, "hi\nthere", "alice", reply_to="m1"), "alice", "read", 1),
    Entry(said(3, "", content_type="deleted", content=None), "Bob B."),
    Entry(said(4, "", content_type="system", content={"event": "member_left", "userIds": ["bob"]}), ""),
    Entry(said(12, "a day later", "alice", timestamp=NOON + DAY), "alice", "sent"),
)


def test_a_plain_log_has_days_times_people_and_ticks() -> None:
    assert written(PlainText(Look()), *ENTRIES) == (
        "Bob B. (dm:alice:bob)\n"
        "As alice at https://one.example sees it, 2026-01-02 12:00 +0000\n"
        "\n--- Thursday, 1 January 2026 ---\n\n"
        "    1  12:00  Bob B. (bob): hello\n"
        "    2  12:00  alice [to 1]: hi\n"
        "              there  ✓✓ read\n"
        "    3  12:00  Bob B. (bob): this message was deleted\n"
        "    4  12:00  — bob left\n"
        "\n--- Friday, 2 January 2026 ---\n\n"
        "   12  12:00  alice: a day later  ✓\n"
        "\n5 messages\n"
    )


def test_lines_of_json_are_whole_objects_between_a_head_and_an_end() -> None:
    head, first, second, *_, end = map(json.loads, written(JsonLines(Look()), *ENTRIES).splitlines())
    assert head == {
        "type": "export",
        "version": 1,
        "conversationId": CHAT,
        "kind": "direct",
        "title": "Bob B.",
        "userId": "alice",
        "url": "https://one.example",
        "exportedAt": NOON + DAY,
    }
    assert (first["type"], first["sequenceNumber"], first["text"], first["senderName"]) == (
        "message",
        1,
        "hello",
        "Bob B.",
    )
    assert (second["own"], second["status"], second["replyTo"]) == (True, "read", "m1")
    assert end == {"type": "export_end", "messages": 5}


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "<a href=javascript:alert(1)>here</a>",
    "]]><script>alert(1)</script>",
    "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "'onmouseover='alert(1)",
    "\u202e<b>txt.exe\u2066",
)
KNOWN_TAGS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "header", "h1", "bdi", "p", "main", "h2", "article", "div"}
    | {"b", "a", "time", "span", "footer"}
)
KNOWN_ATTRIBUTES = frozenset(
    {"lang", "charset", "http-equiv", "content", "name", "class", "id", "dir", "href", "datetime"}
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_people_write_or_are_called_becomes_part_of_the_page(attack: str) -> None:
    everywhere = Head(f"group:{attack}", "group", attack, attack, f"https://{attack}", NOON)
    events = [
        {"event": "group_renamed", "actorId": attack, "name": attack},
        {"event": attack, "userIds": [attack]},
        {"event": "role_changed", "actorId": attack, "userId": attack, "role": attack},
    ]
    entries = (
        Entry(said(1, attack, attack), attack),
        Entry(said(2, "", attack, content_type=attack, content={"caption": attack}), attack, "read", 1),
        *(Entry(said(3 + at, "", content_type="system", content=event), "") for at, event in enumerate(events)),
    )
    page = Page(written(Html(Look()), *entries, head=everywhere))
    harmless = Page(written(Html(Look()), *(Entry(said(1, "x"), "x"), *entries[1:]), head=HEAD))
    assert {tag for tag, _ in page.tags} <= KNOWN_TAGS
    assert {name for _, attributes in page.tags for name in attributes} <= KNOWN_ATTRIBUTES
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    for _, attributes in page.tags:
        assert (attributes.get("href") or "#").startswith("#")
    shown = attack.replace("\x00", "\\x00")
    assert page.text.count(shown if "\u202e" not in attack else "<b>txt.exe") >= 5


def test_the_page_allows_its_own_style_and_nothing_else() -> None:
    text = written(Html(Look()), *ENTRIES)
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" == POLICY
    policies = [attributes for tag, attributes in Page(text).tags if tag == "meta" and "http-equiv" in attributes]
    assert policies == [{"http-equiv": "Content-Security-Policy", "content": POLICY}]
    for word in ("<script", "javascript:", "http://", "url(", "@import", "<link", "<img", "style="):
        assert word not in text.replace("https://one.example", "")
    assert "prefers-color-scheme:dark" in style
    assert "@media print" in style


def test_a_page_tells_who_when_ticks_and_what_was_answered() -> None:
    page = Page(written(Html(Look()), *ENTRIES))
    for shown in ("Bob B. (bob)", "hi\nthere", "✓✓ read", "this message was deleted", "bob left", "5 messages"):
        assert shown in page.text
    assert ("a", {"href": "#m1"}) in page.tags
    assert ("time", {"datetime": "2026-01-02T12:00:00+00:00"}) in page.tags
    assert [attributes.get("class") for tag, attributes in page.tags if tag == "article"] == [None, "own", None, "own"]


@pytest.mark.parametrize("form", [JsonLines, PlainText, Html])
def test_where_nothing_but_ascii_can_be_shown_nothing_else_is_written(form: type) -> None:
    text = written(form(Look(unicode=False)), Entry(said(1, "grüße ✓ 👍", "alice"), "Älice", "read"))
    assert text.isascii()
    if form is not PlainText:
        whole = json.loads(text.splitlines()[1])["text"] if form is JsonLines else Page(text).text
        assert "grüße ✓ 👍" in whole


def test_control_characters_steer_no_terminal() -> None:
    text = written(PlainText(Look()), Entry(said(1, "a\x1b[2J\u202eb"), "B\x1b]0;x\x07ob"))
    assert "\x1b" not in text
    assert "a\\x1b[2J\\u202eb" in text
    assert escaped("\x1b\n\t<\x7f") == "\\x1b\n\t&lt;\\x7f"


def test_an_impossible_time_is_shown_as_unknown() -> None:
    entry = Entry(said(1, "x", timestamp=10**18), "Bob")
    assert "--- ? ---" in written(PlainText(Look()), entry)
    assert "?" in Page(written(Html(Look()), entry)).text
