"""Which page a document becomes, and its text with the links as the site needs them."""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = "files"
"""The folder, beside the pages, of whatever documents link to that is no page: readers can download it."""

_FURTHER = ("spec/vectors/e2ee/README.md", "tests/interop/README.md")
"""Documents that stand beside what they are about."""
_PAGES = {"README.md": "overview.md", "SECURITY.md": "reporting.md", "docs/index.md": "index.md"}
_FENCE = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
_DRAWING = re.compile(r"^!\[([^\]]*)\]\(([^)\s]+\.svg)\)$", re.MULTILINE)


class BrokenLink(Exception):
    """A document links to what is not there."""


def documents() -> Iterator[Path]:
    """Yield every document of the repository that becomes a page."""
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "deploy/README.md", "examples/README.md", *_FURTHER):
        yield from sorted(ROOT.glob(pattern))


def page_of(document: Path) -> str:
    """Return the path of a document's page, relative to the site: ``docs/adr/0001-x.md`` is at ``adr/0001-x.md``."""
    name = document.relative_to(ROOT).as_posix()
    if name in _PAGES:
        return _PAGES[name]
    if name.endswith("/README.md"):
        return f"{name.removesuffix('/README.md')}.md"
    return name.removeprefix("docs/") if "/" in name else name.lower()


def rewritten(document: Path, carry: Callable[[Path], None]) -> str:
    """Return a document's text with links that fit its page; ``carry`` is told the files that must come along.

    Raises:
        BrokenLink: a link leads nowhere in the repository.
    """
    pages = {each.resolve(): page_of(each) for each in documents()}

    def link(match: re.Match[str]) -> str:
        target, hash_, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        found = (document.parent / target).resolve()
        page = pages.get(found) or pages.get(found / "README.md")
        if page is None:
            if not found.is_file() or not found.is_relative_to(ROOT):
                raise BrokenLink(f"{document.relative_to(ROOT)} links to {target}, which is no file here")
            carry(found)
            page = f"{FILES}/{found.relative_to(ROOT).as_posix()}"
        near = posixpath.relpath(page, posixpath.dirname(page_of(document)) or ".")
        return f"{match[1]}{near}{hash_}{anchor}{match[3]}"

    def prose(text: str) -> str:
        return _LINK.sub(link, _DRAWING.sub(lambda match: _inlined(document, match), text))

    return _outside_fences(document.read_text("utf-8"), prose)


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, change(text[end:])])


def _inlined(document: Path, match: re.Match[str]) -> str:
    """Return a drawing as a part of the page, so that it follows the page's light or dark colours."""
    drawing = (document.parent / match[2]).read_text("utf-8").strip()
    return f'```{{raw}} html\n<figure class="drawing">\n{drawing}\n</figure>\n```'
