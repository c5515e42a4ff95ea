"""Each check of the doctor finds what it is for, and nothing where all is well."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.app import doctor
from cooee.app.config import AccountsConfig, Config, LimitsConfig, ServerConfig
from cooee.app.doctor import Finding


def bad(findings: Iterable[Finding]) -> list[str]:
    """Return what is not well; each such finding must say what to do."""
    found = [finding for finding in findings if finding.level != "ok"]
    assert all(finding.advice for finding in found)
    return [f"{finding.level}: {finding.text}" for finding in found]


def config(accounts: AccountsConfig | None = None, **server: Any) -> Config:
    return Config(server=ServerConfig(**server), accounts=accounts or AccountsConfig())


INVITE = AccountsConfig(registration="invite")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (config(), []),
        (config(host="localhost"), []),
        (config(INVITE, public_url="https://chat.example.org", trusted_proxies=("127.0.0.1/32",)), []),
        (config(host="0.0.0.0"), ["without TLS", "anybody"]),
        (config(INVITE, host="0.0.0.0", tls_cert="a", tls_key="b"), []),
        (config(INVITE, host="0.0.0.0", tls_cert="a", tls_key="b", public_url="https://chat.example.org"), []),
        (config(lan=True), ["anybody"]),
        (config(INVITE, public_url="https://chat.example.org"), ["trusted_proxies is empty"]),
        (config(INVITE, public_url="http://chat.example.org"), ["unencrypted"]),
        (config(INVITE, trusted_proxies=("0.0.0.0/0",)), ["everybody"]),
        (msgspec.structs.replace(config(), limits=LimitsConfig(exempt=("::/0",))), ["everybody"]),
        (config(AccountsConfig(registration="invite", argon2_memory_kib=64)), ["quick to guess"]),
        (
            config(
                AccountsConfig(registration="closed", min_password_length=4), host="192.0.2.1", public_url="https://a.b"
            ),
            ["trusted_proxies is empty", "4 characters"],
        ),
    ],
)
def test_the_configuration(given: Config, words: list[str]) -> None:
    found = list(doctor.configuration(given))
    told = bad(found)
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))
    assert words or [finding.level for finding in found] == ["ok"]


def test_the_limit_of_open_files(tmp_path: Path) -> None:
    few = Config(limits=LimitsConfig(max_connections=1000))
    assert bad(doctor.files(few, -1)) == bad(doctor.files(few, 1256)) == []
    assert "1,024" in bad(doctor.files(few, 1024))[0]
    assert doctor.file_limit(None) != 0
    assert doctor.file_limit(2**30) == doctor.file_limit(None)


def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(size: int) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": size}))

    monkeypatch.setattr(doctor, "fsync_s", lambda _: 0.001)
    free(10 << 30)
    assert bad(doctor.disk(tmp_path)) == []
    free(500 << 20)
    assert bad(doctor.disk(tmp_path))[0].startswith("warning: 500 MiB free")
    free(5 << 20)
    assert bad(doctor.disk(tmp_path))[0].startswith("problem: 5 MiB free")


def test_a_slow_disk_and_one_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.fsync_s(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(doctor, "fsync_s", lambda _: 0.2)
    assert "200.0 ms" in bad(doctor.disk(tmp_path))[0]

    def refuse(_: Path) -> float:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor, "fsync_s", refuse)
    assert "Read-only" in bad(doctor.disk(tmp_path))[0]


def test_a_network_file_system_is_known_by_the_longest_mount_point(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    folder = tmp_path / "on nfs" / "data"
    folder.mkdir(parents=True)
    escaped = str(folder.parent).replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhost:/x {escaped} nfs4 rw 0 0\n/dev/b /else xfs rw 0 0\n")
    assert doctor.file_system(folder, mounts) == "nfs4"
    assert doctor.file_system(tmp_path, mounts) == "ext4"
    assert doctor.file_system(tmp_path, tmp_path / "nothing") == ""


@pytest.mark.parametrize(
    ("now_s", "drift_s", "synchronised", "levels"),
    [
        (1.8e9, 0.001, True, []),
        (1.8e9, 0.001, None, []),
        (1.8e9, 0.0, False, ["warning"]),
        (1.8e9, -3600.0, True, ["warning"]),
        (86_400.0, 0.0, True, ["problem"]),
    ],
)
def test_the_clock(now_s: float, drift_s: float, synchronised: bool | None, levels: list[str]) -> None:
    found = bad(doctor.clock(now_s, drift_s, synchronised=synchronised))
    assert [line.partition(":")[0] for line in found] == levels


def test_this_machines_clock_can_be_judged() -> None:
    assert list(doctor.watched_clock())


def test_who_may_read_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "cooee.db").touch()
    (folder / "cooee.db").chmod(0o644)
    assert bad(doctor.permissions(folder)) == []
    folder.chmod(0o750)
    (folder / "admin.sock").touch(0o600)
    assert [line.rpartition("/")[2] for line in bad(doctor.permissions(folder))] == [
        "data (mode 0750)",
        "cooee.db (mode 0644)",
    ]


def test_the_store_of_files() -> None:
    assert bad(doctor.media("/srv/media", "")) == []
    assert "/srv/media: no room" in bad(doctor.media("/srv/media", "no room"))[0]


def test_keys_of_push_platforms_are_judged_by_what_was_found() -> None:
    assert bad(doctor.push(["web", "fcm"], "")) == []
    assert [found.text for found in doctor.push(["web", "fcm"], "")] == ["notifications can go by web, fcm"]
    assert "no key" in bad(doctor.push(["web"], "AuthKey.p8 holds no key"))[0]


def test_the_store() -> None:
    assert bad(doctor.store(2, 2, "", online=True)) == []
    assert "damaged: bad page" in bad(doctor.store(2, 2, "bad page", online=False))[0]
    assert "version 1" in bad(doctor.store(1, 2, "", online=False))[0]
