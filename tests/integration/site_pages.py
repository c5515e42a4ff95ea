"""The pages of the built site as a reader's browser takes them: links, anchors, and what else they load."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset"}


@dataclass
class Page(HTMLParser):
    """One page: its anchors, its links, and the resources that are loaded with it."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element links to, loads, or is called."""
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in _LOADS and _LOADS[tag] in found:
            self.loaded.append(found[_LOADS[tag]])


class Site:
    """All pages of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}

    def __getitem__(self, name: str) -> Page:
        return self.pages[self.folder / name]

    def broken(self) -> Iterator[str]:
        """Yield each link within the site, and each resource, that leads nowhere, with its page."""
        for page in self.pages.values():
            for target in dict.fromkeys([*page.links, *page.loaded]):
                if _inside(target) and not self._is_there(page, target):
                    yield f"{page.path.relative_to(self.folder)}: {target}"

    def foreign(self) -> Iterator[str]:
        """Yield whatever a page would load from elsewhere."""
        for page in self.pages.values():
            yield from (f"{page.path.name}: {target}" for target in page.loaded if not _inside(target))

    def linked_from(self, name: str) -> set[str]:
        """Return the pages that a page links to, as paths in the site."""
        page = self[name]
        found = [(page.path.parent / unquote(urlsplit(link).path)).resolve() for link in page.links if _inside(link)]
        return {path.relative_to(self.folder).as_posix() for path in found if path in self.pages}

    def _is_there(self, page: Page, target: str) -> bool:
        split = urlsplit(target)
        path = (page.path.parent / unquote(split.path)).resolve() if split.path else page.path
        if path not in self.pages:
            return path.is_file()
        return not split.fragment or unquote(split.fragment) in self.pages[path].anchors


def _inside(target: str) -> bool:
    split = urlsplit(target)
    return not split.scheme and not split.netloc
