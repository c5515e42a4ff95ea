"""What is published builds, holds what it should, and works where nothing else of this project is."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.integration.harness import ROOT, ServerProcess

Need = Callable[[bool, str, str], None]
Settings = Mapping[str, str]
PASSWORD = "correct horse battery"
_NO_INDEX = re.compile(r"No matching distribution|Temporary failure|NewConnectionError|Connection refused")


def run(*command: str | Path, cwd: Path = ROOT, given: str = "", settings: Settings | None = None) -> str:
    """Run a program that knows nothing of the source, and return what it writes; it must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COOEE_", "PYTHONPATH"))}
    told = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(settings or {})},
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def fetching(need: Need, *command: str | Path, settings: Settings | None = None) -> None:
    """Run a program that fetches packages; without a network the test is skipped, and fails under CI."""
    try:
        run(*command, settings=settings)
    except AssertionError as problem:
        need(not _NO_INDEX.search(str(problem)), "the package index", "try again with a network")
        raise


def version() -> str:
    """Return what ``cooee --version`` has to say."""
    [found] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return f"cooee, version {found}\n"


def contents(wheel: Path) -> dict[str, str]:
    """Return name → hash of what a wheel holds."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source archive, and the wheel that was made from it. The locked hatchling builds: nothing is fetched."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [found] = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory, need: Need) -> Path:
    """The programs of a fresh environment: the packages of the lock, by hash, and the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps")
    fetching(need, *pip, "--require-hashes", "-r", ROOT / "requirements.lock")
    run(*pip, wheel)
    return folder / "bin"


def test_the_wheel_holds_the_program_and_nothing_else(wheel: Path) -> None:
    names = contents(wheel).keys()
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name and ".egg-info" not in name}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"cooee/py.typed", "cooee/adapters/sqlite/schema/0001_timeline.sql", "cooee/cli/tui/app.tcss"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_archive_makes_the_wheel_that_the_source_makes(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT)
    [direct] = tmp_path.glob("*.whl")
    assert contents(direct) == contents(wheel)


def test_the_archive_holds_what_a_packager_needs(dist: Path) -> None:
    [archive] = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"LICENSE", "README.md", "Makefile", "requirements.lock", "docs/index.md", "scripts/setup"} <= names
    assert {"tests/conftest.py", "deploy/cooee.service", "spec/vectors/wire.json", "src/cooee/py.typed"} <= names
    assert {"tests/vectors/wycheproof/LICENSE", "tests/vectors/wycheproof/x25519_test.json"} <= names
    assert [name for name in names if name.startswith((".venv", ".git/", "build", "dist", "."))] == [".gitignore"]
    assert not [name for name in names if "node_modules" in name]


@pytest.mark.slow
def test_it_runs_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in run(installed / "python", "-m", "pip", "check")
    assert run(installed / "cooee", "--version", cwd=tmp_path) == version()
    with ServerProcess(tmp_path / "server", python=str(installed / "python")) as server:
        own = {"COOEE_HOME": str(tmp_path / "home"), "COOEE_URL": server.url}

        def cooee(*words: str, given: str = "") -> str:
            return run(installed / "cooee", *words, cwd=tmp_path, given=given, settings=own)

        for user in ("alice", "bob"):
            cooee("register", user, "--password-stdin", given=f"{PASSWORD}\n")
        assert "sent" in cooee("send", "--as", "alice", "bob", "hello there")
        assert "hello there" in cooee("history", "--as", "bob", "alice")
        assert server.stop() == 0


@pytest.mark.slow
def test_pipx_installs_it(wheel: Path, need: Need, tmp_path: Path) -> None:
    """Of the versions that the lock has, so that no release of another project can break this test."""
    constraints = tmp_path / "constraints.txt"
    pins = re.findall(r"^(\S+==[^ ]+(?: ; [^\\\n]+)?)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    constraints.write_text("\n".join(pins))
    folders = {"PIPX_HOME": tmp_path / "pipx", "PIPX_BIN_DIR": tmp_path / "bin", "PIPX_MAN_DIR": tmp_path / "man"}
    settings = {name: str(path) for name, path in folders.items()} | {"PIP_CONSTRAINT": str(constraints)}
    fetching(need, sys.executable, "-m", "pipx", "install", wheel, settings=settings)
    assert run(tmp_path / "bin/cooee", "--version", cwd=tmp_path) == version()
