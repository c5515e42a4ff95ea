"""Which platforms are there, by what is configured, and what an operator learns of his keys."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cooee.adapters.http.bounded_connector import BoundedConnector
from cooee.adapters.http.checked_resolver import CheckedResolver
from cooee.adapters.push.platforms import Platforms, PlatformSettings, examine_platforms
from cooee.adapters.push.web import Ways
from cooee.domain.addresses import AddressRules
from cooee.domain.push import PushSettings
from tests.fakes.clock import ManualClock


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def account() -> str:
    """The file of a service account."""
    fields = dict.fromkeys(("project_id", "private_key_id", "client_email", "token_uri"), "x")
    return json.dumps(fields | {"private_key": pem(rsa.generate_private_key(65_537, 2048))})


@pytest.fixture
def whole(tmp_path: Path, account: str) -> PlatformSettings:
    """Return settings of all three, with keys that are the user's alone."""
    for name, text in (("fcm.json", account), ("apns.p8", pem(ec.generate_private_key(ec.SECP256R1())))):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    return PlatformSettings(
        pace=PushSettings(),
        vapid_key_file=tmp_path / "vapid.pem",
        fcm_service_account_file=str(tmp_path / "fcm.json"),
        apns_key_file=str(tmp_path / "apns.p8"),
        apns_key_id="k",
        apns_team_id="t",
        apns_topic="a",
    )


def opened(settings: PlatformSettings) -> Platforms:
    ways = Ways(CheckedResolver(AddressRules(), lambda _host, _port: [], 1, "names"), BoundedConnector)
    return Platforms(settings, ways, ManualClock())


async def test_the_web_is_always_there(tmp_path: Path) -> None:
    settings = PlatformSettings(pace=PushSettings(), vapid_key_file=tmp_path / "vapid.pem")
    assert examine_platforms(settings) == (["web"], "")
    assert not settings.vapid_key_file.exists()
    first, second = opened(settings), opened(settings)
    assert list(first.senders) == ["web"]
    assert first.web_key == second.web_key
    for platforms in (first, second, second):
        await platforms.aclose()
    assert examine_platforms(settings) == (["web"], "")


async def test_the_others_are_there_with_their_keys(whole: PlatformSettings) -> None:
    platforms = opened(whole)
    assert list(platforms.senders) == ["web", "fcm", "apns"]
    await platforms.aclose()
    assert examine_platforms(whole) == (["web", "fcm", "apns"], "")


@pytest.mark.parametrize("name", ["vapid.pem", "fcm.json", "apns.p8"])
async def test_a_key_that_is_wrong_is_told_by_its_file(whole: PlatformSettings, tmp_path: Path, name: str) -> None:
    await opened(whole).aclose()
    path = tmp_path / name
    path.chmod(0o644)
    assert examine_platforms(whole)[1] == f"anybody on this machine may use {path}: chmod o= {path}"
    path.write_text("none")
    with pytest.raises(ValueError, match=name):
        opened(whole)
    assert name in examine_platforms(whole)[1]
    path.unlink()
    if name != "vapid.pem":
        with pytest.raises(FileNotFoundError):
            opened(whole)
        assert examine_platforms(whole)[1] == f"{path}: No such file or directory"
