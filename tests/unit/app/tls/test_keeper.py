"""The certificate in force: a sound one never goes for a broken one."""

from pathlib import Path

import pytest
import structlog

from cooee.app.tls.keeper import CertificateKeeper
from cooee.app.tls.pair import CertificateFailed, Pair
from tests.fakes.certificates import write_pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path)


def test_nothing_changes_until_the_files_do(pair: Pair) -> None:
    keeper = CertificateKeeper(pair)
    first = keeper.context()
    assert not keeper.look()
    assert keeper.context() is first
    assert keeper.look(anyway=True)
    write_pair(pair.certificate.parent, names=("box.local",))
    second = keeper.context()
    assert keeper.look()
    assert keeper.context() is not second
    assert "box.local" in keeper.loaded.names


def test_a_broken_pair_is_logged_once_and_the_old_one_stays(pair: Pair) -> None:
    keeper = CertificateKeeper(pair)
    first = keeper.context()
    sound = pair.certificate.read_bytes()
    with structlog.testing.capture_logs() as logs:
        pair.certificate.write_bytes(b"half of a")
        for _ in range(3):
            assert not keeper.look()
    assert keeper.context() is first
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "the new certificate cannot be used; the old one stays in force")
    ]
    pair.certificate.write_bytes(sound)
    assert keeper.look()


def test_files_that_are_written_one_after_the_other(pair: Pair, tmp_path: Path) -> None:
    """The look between the two finds a key that does not match, and the next one a new pair."""
    keeper = CertificateKeeper(pair)
    (tmp_path / "new").mkdir()
    new = write_pair(tmp_path / "new", names=("box.local",))
    pair.certificate.write_bytes(new.certificate.read_bytes())
    assert not keeper.look()
    assert "box.local" not in keeper.loaded.names
    pair.key.write_bytes(new.key.read_bytes())
    assert keeper.look()
    assert "box.local" in keeper.loaded.names


def test_whatever_fails_in_renewing_ends_nothing(pair: Pair) -> None:
    problems: list[Exception] = []

    def renew() -> None:
        if problems:
            raise problems[0]

    keeper = CertificateKeeper(pair, renew)
    problems.append(RuntimeError("the system tells no addresses"))
    with structlog.testing.capture_logs() as logs:
        assert not keeper.look()
        write_pair(pair.certificate.parent, names=("box.local",))
        assert keeper.look()
    assert "box.local" in keeper.loaded.names
    assert logs[0]["problem"] == "RuntimeError"


def test_files_that_vanish_change_nothing(pair: Pair) -> None:
    keeper = CertificateKeeper(pair)
    pair.certificate.unlink()
    pair.key.unlink()
    assert not keeper.look()
    assert keeper.context() is keeper.loaded.context


def test_a_broken_pair_does_not_start(pair: Pair) -> None:
    pair.key.write_bytes(b"")
    with pytest.raises(CertificateFailed):
        CertificateKeeper(pair)


def test_a_key_that_others_may_read_is_warned_of(pair: Pair) -> None:
    pair.key.chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        CertificateKeeper(pair)
    assert [entry["event"] for entry in logs] == ["the key of the certificate is not private"]


def test_a_certificate_that_ends_soon_is_warned_of_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = CertificateKeeper(pair)
    monkeypatch.setattr("cooee.app.tls.keeper.SOON_S", 1000 * 86_400)
    with structlog.testing.capture_logs() as logs:
        keeper.look()
        keeper.look()
    assert [entry["event"] for entry in logs] == ["the certificate expires soon, or has"]


def test_a_renewal_that_fails_is_logged_once(pair: Pair) -> None:
    troubles: list[str] = []

    def renew() -> None:
        if troubles:
            raise CertificateFailed(troubles[0])

    keeper = CertificateKeeper(pair, renew)
    troubles.append("the disk is full")
    with structlog.testing.capture_logs() as logs:
        assert not keeper.look()
        assert not keeper.look()
    assert [entry["event"] for entry in logs] == ["the certificate could not be renewed"]
