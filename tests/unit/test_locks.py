"""The locks fix every package by hash, agree with each other and with pyproject.toml, and name no source."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
SERVICES = ROOT / "requirements-services.lock"
ENTRY = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?: ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def pins(lock: Path) -> dict[str, str]:
    """Return name → version of every entry."""
    return {
        entry["name"]: entry["version"] for line in lock.read_text().splitlines() if (entry := ENTRY.fullmatch(line))
    }


def wanted(requirement: str) -> str:
    """Return the normalised name in a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~; \[]", requirement)[0]).lower()


@pytest.mark.parametrize("lock", [RUNTIME, DEV, SERVICES], ids=lambda lock: lock.name)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    assert [line for line in lines if not ENTRY.fullmatch(line) and not HASH.fullmatch(line)] == []
    assert [
        entry for entry, following in pairwise(lines) if ENTRY.fullmatch(entry) and not HASH.fullmatch(following)
    ] == []


def test_tests_run_on_the_versions_that_users_get() -> None:
    assert pins(RUNTIME).items() <= pins(DEV).items()
    dev, services = pins(DEV), pins(SERVICES)
    assert {name: dev[name] for name in services if name in dev} == {
        name: services[name] for name in services if name in dev
    }


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {wanted(line) for line in project["project"]["dependencies"]} <= pins(RUNTIME).keys()
    groups = {
        name: {wanted(line) for line in group if isinstance(line, str)}
        for name, group in project["dependency-groups"].items()
    }
    assert groups.pop("services") <= pins(SERVICES).keys()
    assert set().union(*groups.values()) <= pins(DEV).keys()
