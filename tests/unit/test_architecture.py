"""The house keeps its rules: pure rooms stay pure, modules say what they are, files stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "cooee"
MODULES = sorted(SOURCE.rglob("*.py"))
PURE = ("domain", "protocol", "crypto")
IMPURE = frozenset({"asyncio", "socket", "ssl", "threading", "logging", "time", "sqlite3", "apsw"})

LONGEST_FILE = 500
"""Lines. A longer file has more than one subject."""
LONG_FILES_ALLOWED: frozenset[str] = frozenset()
"""Paths below src/cooee that may be longer, each with its reason. There is none."""


def imported_packages(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level package of every absolute import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def name(module: Path) -> str:
    """Return a module's path below src/cooee, as the test's id."""
    return module.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_import_no_io_clock_or_log(package: str) -> None:
    modules = sorted((SOURCE / package).rglob("*.py"))
    assert modules, f"{package} is gone; is it still listed as pure?"
    impure = {
        name(module): sorted(found)
        for module in modules
        if (found := IMPURE.intersection(imported_packages(ast.parse(module.read_text("utf-8")))))
    }
    assert impure == {}


@pytest.mark.parametrize(
    "line", ["import time", "import asyncio.events", "from socket import socket", "def f():\n    import ssl"]
)
def test_every_form_of_import_is_seen(line: str) -> None:
    assert IMPURE.intersection(imported_packages(ast.parse(line)))


def test_every_module_has_a_docstring() -> None:
    assert [name(module) for module in MODULES if not ast.get_docstring(ast.parse(module.read_text("utf-8")))] == []


def test_no_file_is_too_long() -> None:
    lengths = {name(module): len(module.read_text("utf-8").splitlines()) for module in MODULES}
    too_long = {path for path, lines in lengths.items() if lines > LONGEST_FILE}
    assert too_long == LONG_FILES_ALLOWED


def test_type_checkers_of_users_see_our_types() -> None:
    assert (SOURCE / "py.typed").is_file()
