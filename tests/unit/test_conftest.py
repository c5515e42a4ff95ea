"""A missing service is loud under CI and quiet elsewhere."""

import pytest

from tests.conftest import Need


def test_a_service_that_was_found_lets_the_test_go_on(need: Need) -> None:
    need(True, "redis-server", "install redis-server")


def test_a_missing_service_fails_under_ci(need: Need, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="redis-server is missing: install redis-server"):
        need(False, "redis-server", "install redis-server")


def test_a_missing_service_skips_elsewhere(need: Need, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="redis-server is missing: install redis-server"):
        need(False, "redis-server", "install redis-server")
