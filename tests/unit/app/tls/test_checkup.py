"""The doctor's findings about certificates."""

from pathlib import Path
from typing import Any

import pytest

from cooee.app.config import ServerConfig
from cooee.app.tls.checkup import certificate
from cooee.app.tls.lan import LocalNetwork
from cooee.app.tls.pair import Pair
from tests.fakes.certificates import write_pair


def found(**server: Any) -> list[tuple[str, str]]:
    findings = list(certificate(ServerConfig(**server)))
    assert all(finding.advice for finding in findings if finding.level != "ok")
    return [(finding.level, finding.text) for finding in findings]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path)


def own(pair: Pair) -> dict[str, str]:
    return {"tls_cert": str(pair.certificate), "tls_key": str(pair.key)}


def test_without_tls_there_is_nothing_to_say() -> None:
    assert found() == []


def test_a_sound_one(pair: Pair) -> None:
    ((level, text),) = found(**own(pair))
    assert level == "ok"
    assert "396 days" in text


def test_one_that_cannot_be_used(pair: Pair) -> None:
    pair.certificate.write_bytes(b"")
    assert [level for level, _ in found(**own(pair))] == ["problem"]


def test_one_that_ends_soon_and_one_that_has(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.app.tls.checkup.SOON_S", 400 * 86_400)
    assert [level for level, _ in found(**own(pair))] == ["warning"]
    monkeypatch.setattr("cooee.app.tls.pair.Loaded.seconds_left", lambda _: -1.0)
    ((level, text),) = found(**own(pair))
    assert level == "problem"
    assert "expired" in text


def test_a_key_that_others_may_read(pair: Pair) -> None:
    pair.key.chmod(0o604)
    assert [level for level, _ in found(**own(pair))] == ["warning", "ok"]


def test_a_local_network(tmp_path: Path) -> None:
    settings = {"lan": True, "data_dir": str(tmp_path)}
    assert [level for level, _ in found(**settings)] == ["ok"]
    network = LocalNetwork(tmp_path)
    network.renew()
    assert [level for level, _ in found(**settings)] == ["ok"]
    network.authority_files.key.chmod(0o644)
    assert [level for level, _ in found(**settings)] == ["warning", "ok"]
