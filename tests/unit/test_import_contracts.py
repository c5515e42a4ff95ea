"""Every contract of .importlinter breaks when its rule is broken: one import is planted in a skeleton of the house."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [
    "domain",
    "protocol",
    "crypto",
    "ports",
    "services",
    "gateway",
    "gateway/http",
    "workers",
    "adapters",
    "adapters/memory",
    "adapters/sqlite",
    "client",
    "cli",
    "bench",
    "app",
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a folder with the project's contracts and with its packages, all empty."""
    (tmp_path / ".importlinter").write_bytes((ROOT / ".importlinter").read_bytes())
    for package in ["", *PACKAGES]:
        folder = tmp_path / "cooee" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    (tmp_path / "cooee/__main__.py").touch()
    (tmp_path / "cooee/app/wiring.py").write_text("import cooee.adapters.sqlite\nimport cooee.adapters.memory\n")
    (tmp_path / "cooee/app/media_store.py").touch()
    (tmp_path / "cooee/bench/storage.py").write_text("import cooee.adapters.sqlite\n")
    (tmp_path / "cooee/bench/history.py").touch()
    return tmp_path


def lint(house: Path) -> tuple[int, str]:
    """Return the exit code and the output of import-linter on the skeleton."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as lint; lint()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return run.returncode, run.stdout + run.stderr


def test_the_empty_house_keeps_every_contract(house: Path) -> None:
    code, output = lint(house)
    assert code == 0, output


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("domain/ids.py", "import cooee.protocol", "Arrows go one way"),
        ("services/send.py", "import cooee.gateway", "Arrows go one way"),
        ("services/send.py", "import cooee.client", "Arrows go one way"),
        ("gateway/session.py", "import cooee.workers", "Arrows go one way"),
        ("app/run.py", "import cooee.cli", "Arrows go one way"),
        ("app/run.py", "import cooee.bench", "Arrows go one way"),
        ("newroom/__init__.py", "", "Arrows go one way"),
        ("protocol/codec.py", "import time", "Pure packages do no I/O"),
        ("crypto/ratchet.py", "from asyncio import sleep", "Pure packages do no I/O"),
        ("domain/ids.py", "import apsw", "Pure packages do no I/O"),
        ("gateway/session.py", "import cooee.crypto", "The server never decrypts"),
        ("app/run.py", "import cooee.crypto", "The server never decrypts"),
        ("client/outbox.py", "import cooee.ports", "The client sees"),
        ("adapters/sqlite/log.py", "import cooee.adapters.memory", "Adapters do not know each other"),
        ("app/run.py", "import cooee.adapters.sqlite", "Only app.wiring names adapters"),
        ("cli/main.py", "import cooee.adapters.memory", "Only app.wiring names adapters"),
    ],
)
def test_a_broken_rule_is_found(house: Path, module: str, planted: str, contract: str) -> None:
    path = house / "cooee" / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(planted + "\n")
    code, output = lint(house)
    assert code != 0
    assert any(line.startswith(contract) and line.endswith("BROKEN") for line in output.splitlines()) or (
        module.startswith("newroom") and "newroom" in output
    ), output


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("cli/main.py", "import cooee.app, cooee.client, cooee.bench"),
        ("bench/load.py", "import cooee.app.wiring, cooee.client"),
        ("gateway/session.py", "import cooee.services, cooee.ports, asyncio, time"),
        ("client/connection.py", "import cooee.protocol, cooee.crypto, cooee.domain, asyncio"),
        ("adapters/sqlite/log.py", "import cooee.ports, cooee.domain, apsw, threading"),
    ],
)
def test_what_a_room_needs_is_allowed(house: Path, module: str, allowed: str) -> None:
    (house / "cooee" / module).write_text(allowed + "\n")
    code, output = lint(house)
    assert code == 0, output
