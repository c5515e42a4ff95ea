"""The documentation builds as a site without a warning, and whoever reads it finds every page and no dead end."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from cooee import client
from cooee.gateway.http.table import ROUTES
from cooee.protocol import frames
from scripts.site.sources import ROOT, documents, page_of
from tests.integration.site_pages import Site

_MADE_BY_SPHINX = {"search.html", "genindex.html", "py-modindex.html"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built as `make docs` does; a warning fails."""
    folder = tmp_path_factory.mktemp("docs").resolve() / "site"
    built = subprocess.run(
        [sys.executable, "-m", "scripts.site.build", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return Site(folder)


def test_what_is_no_site_is_not_replaced_by_one(tmp_path: Path) -> None:
    kept = tmp_path / "letters" / "one.txt"
    kept.parent.mkdir()
    kept.write_text("dear")
    command = [sys.executable, "-m", "scripts.site.build", str(kept.parent)]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no site" in refused.stderr
    assert kept.read_text() == "dear"


def test_every_link_and_anchor_leads_somewhere(site: Site) -> None:
    assert len(site.pages) > 20
    assert list(site.broken()) == []


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    assert list(site.foreign()) == []
    styles = "".join(path.read_text("utf-8") for path in site.folder.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//[^)]+", styles) == []


def test_every_document_is_a_page_and_every_page_is_in_the_navigation(site: Site) -> None:
    pages = {path.relative_to(site.folder).as_posix() for path in site.pages}
    assert {page_of(each).replace(".md", ".html") for each in documents()} <= pages
    assert pages - site.linked_from("index.html") - _MADE_BY_SPHINX <= {"index.html"}


def test_every_document_has_its_place_in_the_index(site: Site) -> None:
    captions = re.findall(r'class="caption-text">([^<]+)<', site["index.html"].path.read_text("utf-8"))
    assert captions
    assert "More" not in captions, "a document is not listed in docs/index.md"


def test_the_references_have_every_request_frame_and_public_name(site: Site) -> None:
    http = site["reference/http.html"].anchors
    assert [route.operation for route in ROUTES if f"http-operation-{route.operation.lower()}" not in http] == []
    socket = site["reference/socket.html"].anchors
    types = {*get_args(frames.ClientFrame), *get_args(frames.ServerFrame)}
    assert [each for each in types if f"socket-{each.__name__.lower()}" not in socket] == []
    sdk = site["reference/sdk.html"].anchors
    assert [name for name in client.__all__ if f"cooee.client.{name}" not in sdk] == []


def test_the_search_knows_the_words(site: Site) -> None:
    index = (site.folder / "searchindex.js").read_text("utf-8")
    assert '"watermark"' in index
    assert any("searchtools" in script for script in site["search.html"].loaded)


# --- what the checks above would find ---------------------------------------------------------------------------------


def test_a_dead_end_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="b.html#there">b</a><a href="#here">a</a><a href="c">c</a>'
    )
    (tmp_path / "b.html").write_text('<script src="https://example.org/x.js"></script><a href="a.html#here">a</a>')
    site = Site(tmp_path)
    assert list(site.broken()) == ["a.html: b.html#there", "a.html: c"]
    assert list(site.foreign()) == ["b.html: https://example.org/x.js"]
