"""Build the site: ``python -m scripts.site.build [FOLDER]``, by default build/site. Offline; a warning is an error."""

import json
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from cooee.gateway.http.asyncapi import asyncapi
from cooee.gateway.http.openapi import openapi
from cooee.gateway.http.table import ROUTES
from cooee.protocol.codec import encode
from scripts.site.contents import list_page, with_made_pages, with_navigation
from scripts.site.http_page import http_page
from scripts.site.schemas import protocol_sections
from scripts.site.sdk_page import sdk_page
from scripts.site.socket_page import socket_page
from scripts.site.sources import FILES, ROOT, BrokenLink, documents, page_of, rewritten

_MADE_LINES = {
    "reference/http.md": "- [HTTP API](reference/http.md): every request, from the server's own table of routes",
    "reference/socket.md": "- [Socket frames](reference/socket.md): every frame, from the structs that parse it",
    "reference/sdk.rst": "- [SDK reference](reference/sdk.rst): every public name, from its docstring",
    "adr.md": "- [Decisions](adr.md): why it is built like this, one record each",
}


def stage(folder: Path) -> None:
    """Write the sources of the site into ``folder``: documents with their links rewritten, and the made pages.

    Raises:
        BrokenLink: a document links to what is not there.
    """
    pages = made_pages()
    for document in documents():
        pages[page_of(document)] = rewritten(document, lambda found: _carry(found, folder))
    index = with_made_pages(pages["index.md"], _MADE_LINES)
    pages["index.md"] = with_navigation(index, sorted(pages))
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def made_pages() -> dict[str, str]:
    """Return the pages that are made from the code."""
    sections = protocol_sections((ROOT / "PROTOCOL.md").read_text("utf-8"), "../protocol.md")
    records = [(page_of(each), each) for each in documents() if each.parent.name == "adr"]
    return {
        "reference/http.md": http_page(json.loads(encode(openapi(ROUTES))), sections),
        "reference/socket.md": socket_page(json.loads(encode(asyncapi())), sections),
        "reference/sdk.rst": sdk_page(),
        "adr.md": list_page("Decisions", "What was decided, what it was measured by, and what it costs.", records),
    }


def build(site: Path) -> int:
    """Build the site anew in ``site``, its sources beside it; return Sphinx's exit code.

    What is there is removed if it is a site, and left alone otherwise.
    """
    if site.is_dir() and any(site.iterdir()) and not (site / ".buildinfo").is_file():  # Sphinx writes that one first
        print(f"{site} is there and no site; name another folder", file=sys.stderr)
        return 1
    sources, cache = (site.with_name(f"{site.name}-{what}") for what in ("sources", "cache"))
    for folder in (site, sources, cache):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        stage(sources)
    except BrokenLink as problem:
        print(problem, file=sys.stderr)
        return 1
    options = ["-q", "-W", "--keep-going", "-n", "-b", "html", "-c", str(ROOT / "docs/site"), "-d", str(cache)]
    return build_main([*options, str(sources), str(site)])


def _carry(found: Path, folder: Path) -> None:
    target = folder / FILES / found.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, target)


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/site").resolve()))
