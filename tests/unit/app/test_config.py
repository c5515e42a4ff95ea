"""Configuration: later sources win, and whatever is wrong is named."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cooee.app import config
from cooee.domain.limits import Rate


def load(tmp_path: Path, text: str = "", env: dict[str, str] | None = None, **flags: Any) -> config.Config:
    file = tmp_path / "cooee.toml"
    file.write_text(text)
    return config.load(file, env or {}, {key.replace("__", "."): value for key, value in flags.items()})


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    text = '[server]\nhost = "a"\nport = 1\nserver_id = "x"'
    loaded = load(tmp_path, text, {"COOEE_PORT": "2", "COOEE_SERVER_ID": "y"}, server__server_id="z")
    assert (loaded.server.host, loaded.server.port, loaded.server.server_id) == ("a", 2, "z")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1", "server.prot"),
        ("[servr]\nport = 1", "servr"),
        ("server = 1", "server"),
        ("[server]\nport = 'x'", "server.port"),
        ("[server]\nport = 70000", "server.port"),
        ("[limits]\nframes = '5 per s'", "limits.frames"),
        ("[limits]\nwindow = 0", "limits.window"),
        ("[limits]\npage = 300", "limits.page"),
        ("[limits]\nexempt = ['nowhere']", "limits.exempt"),
        ("[accounts]\nregistration = 'maybe'", "accounts.registration"),
        ("[store]\ndedup_days = 3", "store.dedup_days"),
        ("[server]\ntls_cert = 'a.pem'", "server.tls_key"),
        ("[server]\ntls_key = 'a.key'", "server.tls_cert"),
        ("[server]\nlan = true\ntls_cert = 'a.pem'\ntls_key = 'a.key'", "server.lan"),
        ("[server]\nlan = true\nport = 8443", "server.lan_port"),
        ("not toml", "TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(config.ConfigError, match=named):
        load(tmp_path, text)


def test_the_nearest_known_key_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="did you mean port"):
        load(tmp_path, "[server]\nprot = 1")
    with pytest.raises(config.ConfigError, match="did you mean COOEE_PORT"):
        load(tmp_path, "", {"COOEE_PROT": "1"})


def test_a_missing_file_matters_only_when_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load(None, {}) == config.Config()
    with pytest.raises(config.ConfigError, match="no such"):
        config.load(tmp_path / "gone.toml", {})


def test_rates_can_be_written_in_three_ways(tmp_path: Path) -> None:
    text = '[limits]\nframes = "10/s burst 70"\nsends = "120/min"\ngroup_changes = { per_s = 2, burst = 3 }'
    limits = load(tmp_path, text).limits
    assert (limits.frames, limits.sends, limits.group_changes) == (Rate(10, 70), Rate(2, 120), Rate(2, 3))


def test_lists_and_truth_values_come_from_the_environment(tmp_path: Path) -> None:
    env = {"COOEE_ALLOWED_ORIGINS": "https://a.example, https://b.example", "COOEE_ACCOUNTS_USER_SEARCH": "no"}
    loaded = load(tmp_path, "", env)
    assert loaded.server.allowed_origins == ("https://a.example", "https://b.example")
    assert loaded.accounts.user_search is False


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    changed = load(tmp_path, '[server]\npublic_url = "https://x.example/a\\"b"\n[limits]\nsends = "1/s"')
    shown = config.show(changed)
    assert tomllib.loads(shown)
    assert load(tmp_path, shown) == changed


def test_every_setting_is_documented() -> None:
    undocumented = [setting.key for setting in config.settings() if len(setting.description) < 10]
    assert undocumented == []


@pytest.mark.parametrize("key", ["server.trusted_proxies", "limits.exempt", "webhooks.allowed_networks"])
def test_what_is_no_network_is_named(tmp_path: Path, key: str) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(config.ConfigError, match=f"{key}: 'everywhere' is not a network"):
        load(tmp_path, f'[{section}]\n{name} = ["everywhere"]')
    load(tmp_path, f'[{section}]\n{name} = ["10.0.0.0/8", "fd00::/8"]')


S3 = """[media]
store = "s3"
[s3]
endpoint = "https://s3.example.org"
bucket = "media"
access_key = "cooee"
secret_key = "hush"
"""


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    shown = config.show(load(tmp_path, S3))
    assert "hush" not in shown
    assert "# secret_key is set, and not shown" in shown
    assert tomllib.loads(shown)["s3"]["access_key"] == "cooee"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('endpoint = "https://s3.example.org"', ""), "s3.endpoint is not set"),
        (('bucket = "media"', ""), "s3.bucket is not set"),
        (('access_key = "cooee"', ""), "s3.access_key is not set"),
        (("https://s3", "s3"), "s3.endpoint must be a URL"),
        (('secret_key = "hush"', ""), "one of s3.secret_key and s3.secret_key_file"),
        (('secret_key = "hush"', 'secret_key = "hush"\nsecret_key_file = "x"'), "only one"),
        (('store = "s3"', 'store = "s3"\ndownload_minutes = 6000.0'), "media.download_minutes must not be larger"),
    ],
)
def test_a_bucket_needs_its_settings(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(config.ConfigError, match=says):
        load(tmp_path, S3.replace(*change))


def test_settings_of_a_bucket_that_is_not_used_do_not_matter(tmp_path: Path) -> None:
    assert load(tmp_path, S3.replace('store = "s3"', "")).s3.bucket == "media"


APNS = """[push]
apns_key_file = "AuthKey.p8"
apns_key_id = "ABC123DEFG"
apns_team_id = "DEF123GHIJ"
apns_topic = "org.example.chat"
vapid_contact = "mailto:operator@example.org"
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('apns_key_id = "ABC123DEFG"', ""), "push.apns_key_id is not"),
        (('apns_team_id = "DEF123GHIJ"', ""), "push.apns_team_id is not"),
        (('apns_topic = "org.example.chat"', ""), "push.apns_topic is not"),
        (("mailto:operator@", "operator@"), "push.vapid_contact must begin with"),
        (("[push]", '[push]\napns_url = "https://api.push.apple.com/3"'), "push.apns_url must be a URL"),
        (("[push]", '[push]\nfcm_url = "fcm.googleapis.com"'), "push.fcm_url"),
    ],
)
def test_push_platforms_need_their_settings(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert load(tmp_path, APNS).push.apns_topic == "org.example.chat"
    with pytest.raises(config.ConfigError, match=says):
        load(tmp_path, APNS.replace(*change))
