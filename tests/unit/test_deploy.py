"""What is in `deploy/` fits this program: its settings, paths, time-outs, metrics and commands exist."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.app import config, doctor
from cooee.app.telemetry import METRICS
from cooee.domain.limits import Limits

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


# --- configuration ----------------------------------------------------------------------------------------------------


def test_the_example_configuration_is_one_that_the_doctor_likes() -> None:
    loaded = config.load(DEPLOY / "cooee.toml", {})
    assert [finding.level for finding in doctor.configuration(loaded)] == ["ok"]


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    path = tmp_path / "cooee.service"
    path.write_text(text("cooee.service").replace("/opt/cooee/bin/cooee", sys.executable))
    return path


def test_systemd_understands_every_line(unit: Path) -> None:
    told = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_a_wrong_line_is_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHouse=yes"))
    told = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "ProtectHouse" in told.stderr


def test_the_service_can_do_little_harm(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr


def test_the_service_has_the_files_and_the_time_that_the_limits_need() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", text("cooee.service"), re.MULTILINE))
    limits = Limits()
    assert int(settings["LimitNOFILE"]) >= limits.max_connections + 256
    assert int(settings["TimeoutStopSec"]) > limits.drain_s + 10
    folder = Path(tomllib.loads(text("cooee.toml"))["server"]["data_dir"])
    assert folder.is_relative_to(Path("/var/lib") / settings["StateDirectory"])


# --- container --------------------------------------------------------------------------------------------------------

_KNOWN = {
    *("FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"),
    *("ENTRYPOINT", "CMD"),
}


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile's instructions with what follows them, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text("Dockerfile"), flags=re.MULTILINE))
    for line in filter(None, joined.splitlines()):
        name, _, rest = line.partition(" ")
        yield name, rest


def test_every_instruction_is_one() -> None:
    assert {name for name, _ in instructions()} <= _KNOWN
    assert next(instructions())[0] == "FROM"
    for name, rest in instructions():
        if name in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(rest))


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    rules = [line for line in text("Dockerfile.dockerignore").splitlines() if not line.startswith("#")]
    sent = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    copied = []
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from="):
            copied += shlex.split(rest)[:-1]
    assert copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if not any(fnmatch(path, rule) for rule in sent)] == []


def test_the_image_runs_without_root_and_its_settings_exist() -> None:
    last = [(name, rest) for name, rest in instructions()]
    last = last[max(at for at, (name, _) in enumerate(last) if name == "FROM") :]
    users = [rest for name, rest in last if name == "USER"]
    assert users
    assert users[-1] not in ("0", "root")
    known = {setting.env for setting in config.settings()}
    given = dict(pair.split("=", 1) for name, rest in last if name == "ENV" for pair in shlex.split(rest))
    assert {name for name in given if name.startswith("COOEE_")} <= known
    config.load(None, {name: value for name, value in given.items() if name in known})
    port = given["COOEE_PORT"]
    assert ("EXPOSE", port) in last
    assert any(f":{port}/healthz" in rest for name, rest in last if name == "HEALTHCHECK")


def test_the_image_takes_its_python_from_what_is_supported() -> None:
    images = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert images == {"python:3.11-slim-bookworm"}
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text("utf-8")


# --- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("nginx.conf", r"proxy_(?:read|send)_timeout\s+(\d+)s"),
        ("haproxy.cfg", r"timeout (?:client|server|tunnel) (\d+)s"),
        ("Caddyfile", r"response_header_timeout (\d+)s"),
    ],
)
def test_proxies_wait_longer_than_heartbeats_and_polls(name: str, pattern: str) -> None:
    limits = Limits()
    quiet = max(limits.heartbeat_interval_s + limits.heartbeat_timeout_s, limits.poll_wait_ms / 1000)
    found = [int(seconds) for seconds in re.findall(pattern, text(name))]
    assert found
    assert all(seconds > quiet + 10 for seconds in found)


def test_proxies_take_the_largest_body() -> None:
    assert "client_max_body_size 1m;" in text("nginx.conf")
    assert "max_size 1MiB" in text("Caddyfile")
    assert Limits().http_body_bytes == 1024 * 1024


# --- watching ---------------------------------------------------------------------------------------------------------


def series() -> set[str]:
    """Return the names that Prometheus stores, made from the table of metrics."""
    found = set()
    for metric in METRICS:
        match metric.kind:
            case "counter":
                found.add(f"{metric.name}_total")
            case "gauge":
                found.add(metric.name)
            case "histogram":
                found |= {f"{metric.name}_{end}" for end in ("bucket", "count", "sum")}
    return found


def used(expression: str) -> set[str]:
    return set(re.findall(r"\bcooee_\w+", expression))


def test_every_metric_of_the_dashboard_exists() -> None:
    dashboard: dict[str, Any] = json.loads(text("grafana-dashboard.json"))
    panels = dashboard["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(expressions) >= 20
    assert set().union(*map(used, expressions)) <= series()
    assert len({panel["id"] for panel in panels}) == len(panels)
    drawn = [panel for panel in panels if panel["type"] != "row"]
    assert [panel["title"] for panel in drawn if not panel.get("description")] == []
    places = [(at["x"], at["y"]) for at in (panel["gridPos"] for panel in panels)]
    assert len(set(places)) == len(places)


def test_every_alert_is_about_a_metric_and_says_what_to_do() -> None:
    rules = text("prometheus-alerts.yml")
    expressions = re.findall(r"^        expr: (.+)$", rules, re.MULTILINE)
    names = re.findall(r"^      - alert: (\w+)$", rules, re.MULTILINE)
    assert len(names) == len(set(names)) == len(expressions)
    assert set().union(*map(used, expressions)) <= series()
    for word in ("summary", "description"):
        assert len(re.findall(rf"^          {word}: .+$", rules, re.MULTILINE)) == len(names)
    for expression in expressions:
        assert used(expression) or expression.startswith(("up{", "process_")), expression
        assert expression.count("(") == expression.count(")")
    documented = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert [name for name in names if f"`{name}`" not in documented] == []


def test_the_readme_names_every_file() -> None:
    readme = text("README.md")
    names = {path.name for path in DEPLOY.iterdir()} - {"README.md", "Dockerfile.dockerignore"}
    assert [name for name in names if f"`{name}`" not in readme] == []


def test_limits_are_what_the_examples_were_written_for() -> None:
    assert {field.name for field in msgspec.structs.fields(Limits)} >= {"drain_s", "poll_wait_ms", "http_body_bytes"}
