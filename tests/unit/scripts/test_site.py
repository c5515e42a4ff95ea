"""Pages of the site are made as they should be: links, navigation, schemas in words."""

from pathlib import Path

import pytest

from scripts.site import contents, schemas, sources


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository in place of this one."""
    for folder in ("docs/adr", "deploy"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("README.md", "SECURITY.md", "docs/security.md", "docs/adr/0001-x.md", "deploy/README.md", "LICENSE"):
        (tmp_path / name).write_text("# Title\n")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path


def written(path: Path, text: str) -> tuple[str, list[Path]]:
    """Return a document's page, and the files that come along."""
    path.write_text(text)
    carried: list[Path] = []
    return sources.rewritten(path, carried.append), carried


def test_every_document_has_a_page_of_its_own(repository: Path) -> None:
    pages = [sources.page_of(each) for each in sources.documents()]
    assert sorted(pages) == ["adr/0001-x.md", "deploy.md", "overview.md", "reporting.md", "security.md"]


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("security.md", "security.md"),
        ("security.md#floods", "security.md#floods"),
        ("../SECURITY.md", "reporting.md"),
        ("../deploy/README.md#x", "deploy.md#x"),
        ("../deploy", "deploy.md"),
        ("adr/0001-x.md", "adr/0001-x.md"),
        ("#here", "#here"),
        ("https://example.org/a.md", "https://example.org/a.md"),
    ],
)
def test_links_between_documents_lead_to_their_pages(repository: Path, link: str, page: str) -> None:
    assert written(repository / "docs/new.md", f"[x]({link})") == (f"[x]({page})", [])


def test_links_from_below_lead_up(repository: Path) -> None:
    text, _ = written(repository / "docs/adr/0001-x.md", "[x](../../README.md) [y](../security.md)")
    assert text == "[x](../overview.md) [y](../security.md)"


def test_a_file_that_is_no_page_comes_along(repository: Path) -> None:
    text, carried = written(repository / "docs/adr/0001-x.md", "[x](../../LICENSE)")
    assert (text, carried) == ("[x](../files/LICENSE)", [repository / "LICENSE"])


@pytest.mark.parametrize("link", ["nowhere.md", "../src", "../../../etc/hostname"])
def test_a_link_to_nowhere_is_refused(repository: Path, link: str) -> None:
    with pytest.raises(sources.BrokenLink):
        written(repository / "docs/new.md", f"[x]({link})")


def test_what_stands_in_a_fence_is_left_alone(repository: Path) -> None:
    text = "```\n[x](nowhere.md)\n```\n"
    assert written(repository / "docs/new.md", text) == (text, [])


def test_a_drawing_becomes_a_part_of_the_page(repository: Path) -> None:
    (repository / "docs/a.svg").write_text("<svg/>\n")
    text, carried = written(repository / "docs/new.md", "![words](a.svg)\n")
    assert text == '```{raw} html\n<figure class="drawing">\n<svg/>\n</figure>\n```\n'
    assert carried == []


def test_the_index_is_the_navigation() -> None:
    index = "# I\n\n## Use\n\n- [A](a.md): says\n- [B](b.rst#x): no page\n<!-- made for the site: m.md -->\n"
    text = contents.with_made_pages(index, {"m.md": "- [M](m.md): made"})
    text = contents.with_navigation(text, ["a.md", "index.md", "m.md", "m/one.md", "late.md"])
    assert "```{toctree}\n:hidden:\n:caption: Use\n\nA <a.md>\nM <m.md>\n```" in text
    assert text.rstrip().endswith("```{toctree}\n:hidden:\n:caption: More\n\nlate.md\n```")


def test_schemas_are_said_in_words() -> None:
    named = {"Thing": {"title": "Thing", "description": "A ``thing`` (§3).", "type": "object", "properties": {}}}
    words = schemas.Words(named, "http", schemas.protocol_sections("## 3. Sending `it`\n", "p.md"))
    assert words.prose("A ``thing`` (§3, §4).") == "A `thing` ([§3](p.md#3-sending-it), §4)."
    assert words.kind({"anyOf": [{"$ref": "#/x/Thing"}, {"type": "null"}]}) == "[Thing](#http-thing) or null"
    assert words.kind({"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": 5}) == (
        "list, 0 to 5 items, of string, 0 to 64 characters"
    )
    assert words.kind({"type": "integer", "minimum": 0, "maximum": 2**53 - 1}) == "integer"
    assert words.kind({"enum": ["a", 1]}) == '`"a"`, `1`'
    assert "It has no fields." in words.section("Thing")


def test_a_table_leaves_out_columns_in_which_nothing_stands() -> None:
    assert schemas.table(("a", "b", "c"), [("1", "", "x|y")]) == "| a | c |\n|---|---|\n| 1 | x\\|y |"
