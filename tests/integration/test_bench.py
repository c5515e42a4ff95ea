"""Every scenario of ``cooee bench`` runs, loses nothing and prints what docs/performance.md names. Never a time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cooee.cli import bench as commands
from tests.integration.harness import ServerProcess

TINY = {
    "pairs": ("--pairs", "2", "--window", "3", "--seconds", "0.5"),
    "idle": ("--connections", "20", "--seconds", "0.5"),
    "group": ("--members", "60", "--window", "2", "--seconds", "0.5"),
    "reconnect": ("--connections", "20", "--rate", "40", "--seconds", "1"),
    "push": ("--users", "5", "--every", "0.05", "--rate", "40"),
    "catchup": ("--conversations", "20", "--missed-in", "5", "--messages", "30", "--rounds", "2"),
    "history": ("--messages", "2000", "--conversations", "10", "--fetches", "20"),
    "e2ee": ("--devices", "3", "--rounds", "1"),
}
SHAPES: dict[str, dict[str, tuple[str, ...]]] = {
    "pairs": {
        "positive": ("messages_per_s", "server_cpu_us_per_message", "messages", "connections", "seconds"),
        "p50_p99": ("ack_ms", "delivery_ms"),
    },
    "idle": {"positive": ("rss_bytes", "connections", "connections_per_s", "seconds"), "p50_p99": ()},
    "group": {
        "positive": ("deliveries_per_s", "server_cpu_us_per_delivery", "messages_per_s", "connections", "seconds"),
        "p50_p99": ("ack_ms", "delivery_ms"),
    },
    "reconnect": {
        "positive": ("connections", "connections_per_s", "messages_per_s", "seconds"),
        "p50_p99": ("ack_ms", "delivery_ms"),
    },
    "push": {
        "positive": ("notifications", "push_p95_ms", "messages_per_s", "seconds"),
        "p50_p99": ("push_ms", "delivery_ms"),
    },
    "catchup": {"positive": ("messages_per_s", "seconds"), "p50_p99": ("catch_up_ms",)},
    "history": {"positive": ("messages", "seconds"), "p50_p99": ("fetch_ms",)},
    "e2ee": {
        "positive": (
            "encrypt_us",
            "turning_decrypt_us",
            "content_encrypt_us",
            "group_decrypt_us",
            "set_up_ms",
            "devices",
        ),
        "p50_p99": (),
    },
}
DOCUMENT = (Path(__file__).parents[2] / "docs" / "performance.md").read_text("utf-8")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cooee", "bench", *arguments], capture_output=True, text=True, timeout=90, check=False
    )


def figures(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("scenario", TINY)
def test_a_scenario_prints_its_figures(scenario: str) -> None:
    found = figures(scenario, *TINY[scenario])
    assert found["scenario"] == scenario
    for name in SHAPES[scenario]["positive"]:
        assert found[name] > 0, name
    for name in SHAPES[scenario]["p50_p99"]:
        assert 0 < found[name]["p50"] <= found[name]["p99"], name
    assert not found.get("errors")
    assert not found.get("lost")
    undocumented = [name for name in found if f"`{name}`" not in DOCUMENT]
    assert undocumented == []


def test_all_scenarios_are_tried_here_and_documented() -> None:
    assert set(TINY) == set(SHAPES) == set(commands.bench.commands)
    assert [name for name in TINY if f"`cooee bench {name}" not in DOCUMENT] == []


def test_a_table_is_for_people() -> None:
    done = run("pairs", *TINY["pairs"])
    assert done.returncode == 0, done.stderr
    assert "messages_per_s" in done.stdout
    assert "delivery_ms p99" in done.stdout
    assert done.stderr == ""


def test_a_server_elsewhere_is_loaded_with_and_without_its_folder(server: ServerProcess) -> None:
    without = figures("pairs", "--url", server.url, *TINY["pairs"])
    assert without["messages"] > 0
    assert without["server_cpu_us_per_message"] is None
    knowing = figures("pairs", "--url", server.url, "--data-dir", str(server.data), *TINY["pairs"])
    assert knowing["messages"] > 0
    assert knowing["server_cores"] is not None


def test_what_cannot_be_loaded_is_said() -> None:
    done = run("pairs", "--url", "http://127.0.0.1:9", *TINY["pairs"])
    assert done.returncode != 0
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("history", "--url", "http://127.0.0.1:9").returncode == 2
    assert run("pairs", "--data-dir", "/tmp").returncode == 2
