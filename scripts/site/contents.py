"""The navigation, made from the lists of docs/index.md: each heading there is a group, each link below it a page."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#\s]+)\)", re.MULTILINE)
_MADE = re.compile(r"^<!-- made for the site: (\S+) -->$", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def with_made_pages(index: str, lines: Mapping[str, str]) -> str:
    """Return the index with a line for each page that only the site has, where a comment asks for it.

    Raises:
        KeyError: there is no such page.
    """
    return _MADE.sub(lambda match: lines[match[1]], index)


def with_navigation(index: str, pages: Iterable[str]) -> str:
    """Return the index with one hidden table of contents a group; ``pages`` that no group names come last.

    A page that is below a folder belongs to the page that is named like the folder, if there is one.
    """
    groups = _HEADING.split(index)[1:]
    trees, named = [], {"index.md"}
    for title, text in zip(groups[::2], groups[1::2], strict=True):
        entries = [(name, target) for name, target in _ENTRY.findall(text) if target.endswith((".md", ".rst"))]
        named |= {target for _, target in entries}
        trees.append(toctree(entries, caption=title.strip()))
    rest = [(None, page) for page in pages if page not in named and f"{page.rpartition('/')[0]}.md" not in named]
    if rest:
        trees.append(toctree(rest, caption="More"))
    return "\n\n".join([index.rstrip(), *trees]) + "\n"


def toctree(entries: Iterable[tuple[str | None, str]], *, caption: str = "") -> str:
    """Return a hidden table of contents of (title or None, page) pairs."""
    lines = [f"{title} <{page}>" if title else page for title, page in entries]
    head = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join([*head, *lines, "```"])


def list_page(title: str, words: str, documents: Iterable[tuple[str, Path]]) -> str:
    """Return a page that lists documents, given as (page, file), under their own titles."""
    entries = [(page, title_of(file)) for page, file in documents]
    lines = [f"- [{name}]({page})" for page, name in entries]
    return "\n".join([f"# {title}", "", words, "", *lines, "", toctree((None, page) for page, _ in entries), ""])


def title_of(file: Path) -> str:
    """Return a document's first heading."""
    found = _TITLE.search(file.read_text("utf-8"))
    return found[1] if found else file.stem
