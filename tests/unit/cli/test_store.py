"""`cooee store`: where the key of the messages is, how it gets elsewhere, backups, and whoever has no right to it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import keyring
import pytest
from click.testing import Result

from cooee.cli.errors import REFUSED, USAGE
from cooee.cli.store import SHORT_PASSPHRASE, in_use
from cooee.client.account import StoreLock, load_account, save_account
from cooee.client.errors import StoreError
from cooee.client.key_wrap import StoreKey
from cooee.client.model import Account
from cooee.client.store import Store
from cooee.client.store_key import check_value, open_key, protection
from cooee.domain.ids import DeviceRef
from tests.unit.cli.keyrings import LockedKeyring, OpenKeyring

Cooee = Callable[..., Result]
SECRET = "a long passphrase"


@pytest.fixture
def system() -> Iterator[OpenKeyring]:
    """A system whose keyring works."""
    former = keyring.get_keyring()
    backend = OpenKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(former)


@pytest.fixture
def unlocked(home: Path, system: OpenKeyring, monkeypatch: pytest.MonkeyPatch) -> OpenKeyring:
    """A home whose keyring may be asked."""
    monkeypatch.delenv("COOEE_KEYRING")
    return system


@pytest.fixture
def alice(home: Path, log_in: Callable[..., Account]) -> Path:
    """Alice's store, with something in it, and its key in the file."""
    log_in("alice")
    folder = home / "profiles" / "alice"
    with closing(Store(folder, open_key(folder))) as store:
        store.load(DeviceRef("alice", "d1"))
    return folder


def test_status_says_where_the_key_is_and_asks_nothing(cooee: Cooee, alice: Path) -> None:
    told = cooee("store", "status")
    assert told.exit_code == 0
    assert "beside it, in a file" in told.stdout
    assert '"key":"file"' in cooee("store", "status", "--json").stdout
    assert '"inUse":false' in cooee("store", "status", "--json").stdout
    lock = StoreLock(alice)
    assert in_use(alice)
    assert '"inUse":true' in cooee("store", "status", "--json").stdout
    lock.release()
    assert not in_use(alice)


def test_a_store_where_nothing_is_yet(cooee: Cooee, home: Path, log_in: Callable[..., Account]) -> None:
    log_in("alice")
    assert "nothing in it yet" in cooee("store", "status").stdout
    assert cooee("store", "backup", str(home / "b")).exit_code == REFUSED


def test_a_passphrase_protects_it_and_opens_it_again(
    cooee: Cooee, alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = open_key(alice)
    assert cooee("store", "protect", "--passphrase", given=f"{SECRET}\n").exit_code == 0
    assert protection(alice) == "passphrase"
    assert open_key(alice, passphrase=SECRET) == key
    refused = cooee("store", "protect", "--file")
    assert refused.exit_code == USAGE
    assert "COOEE_PASSPHRASE" in refused.stderr
    monkeypatch.setenv("COOEE_PASSPHRASE", "another one")
    wrong = cooee("store", "protect", "--file")
    assert wrong.exit_code == REFUSED
    assert "another one" not in wrong.output
    assert protection(alice) == "passphrase"
    written = tmp_path / "secret"
    written.write_text(f"{SECRET}\nand a second line\n")
    assert cooee("store", "protect", "--file", "--passphrase-file", str(written)).exit_code == 0
    assert protection(alice) == "file"
    assert open_key(alice) == key


def test_a_new_passphrase_is_not_the_one_that_opens_it(
    cooee: Cooee, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOEE_PASSPHRASE", SECRET)
    assert cooee("store", "protect", "--passphrase").exit_code == 0
    assert cooee("store", "protect", "--passphrase", given="the second\n").exit_code == 0
    assert open_key(alice, passphrase="the second").raw
    with pytest.raises(StoreError):
        open_key(alice, passphrase=SECRET)


def test_a_file_without_a_passphrase_opens_nothing(cooee: Cooee, alice: Path, tmp_path: Path) -> None:
    cooee("store", "protect", "--passphrase", given=f"{SECRET}\n")
    empty = tmp_path / "empty"
    for content in (b"", b"\n", b"\xff\xfe\n"):
        empty.write_bytes(content)
        assert cooee("--passphrase-file", str(empty), "store", "protect", "--file").exit_code == USAGE
    assert protection(alice) == "passphrase"


def test_the_keyring_takes_it_and_gives_it_back(cooee: Cooee, unlocked: OpenKeyring, alice: Path) -> None:
    key = open_key(alice)
    assert "in the system's keyring" in cooee("store", "protect").stdout
    assert protection(alice) == "elsewhere"
    assert check_value(alice) == key.check.hex()
    assert len(unlocked.kept) == 1
    assert cooee("store", "protect", "--file").exit_code == 0
    assert open_key(alice) == key
    assert unlocked.kept == {}


def test_without_a_keyring_one_has_to_choose(cooee: Cooee, alice: Path) -> None:
    refused = cooee("store", "protect")
    assert refused.exit_code == USAGE
    assert "--passphrase" in refused.stderr
    assert protection(alice) == "file"


@pytest.mark.parametrize("content", ["", "not base64", "YQ=="])
def test_a_keyring_that_lost_the_key_says_so(
    cooee: Cooee, unlocked: OpenKeyring, alice: Path, content: str, tmp_path: Path
) -> None:
    cooee("store", "protect")
    unlocked.kept = dict.fromkeys(unlocked.kept, content)
    lost = cooee("store", "backup", str(tmp_path / "b"), "--json")
    assert lost.exit_code == REFUSED
    assert '"code":"keyring"' in lost.stderr
    assert "Restore a backup" in lost.stderr


def test_a_locked_keyring_changes_nothing(cooee: Cooee, unlocked: OpenKeyring, alice: Path) -> None:
    keyring.set_keyring(LockedKeyring())
    assert cooee("store", "protect").exit_code == REFUSED
    assert protection(alice) == "file"


def test_a_store_in_use_keeps_its_key_where_it_is(cooee: Cooee, alice: Path) -> None:
    lock = StoreLock(alice)
    assert cooee("store", "protect", "--passphrase", given=f"{SECRET}\n").exit_code == REFUSED
    lock.release()
    assert protection(alice) == "file"


def test_a_backup_is_restored_onto_another_machine(
    cooee: Cooee, alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alice.cooee"
    lock = StoreLock(alice)  # beside a program that runs
    made = cooee("store", "backup", str(file), given=f"{SECRET}\n")
    lock.release()
    assert made.exit_code == 0, made.output
    assert "shorter than" not in made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"alice" not in file.read_bytes()
    assert cooee("store", "backup", str(file), given=f"{SECRET}\n").exit_code == REFUSED
    assert cooee("store", "backup", str(file), "--force", given=f"{SECRET}\n").exit_code == 0

    there = cooee("store", "restore", str(file), given=f"{SECRET}\n")
    assert there.exit_code == REFUSED
    assert "--as NAME" in there.stderr
    assert list(alice.parent.iterdir()) == [alice]
    monkeypatch.setenv("COOEE_HOME", str(tmp_path / "other"))
    wrong = cooee("store", "restore", str(file), given="another\n")
    assert wrong.exit_code == REFUSED
    monkeypatch.setenv("COOEE_BACKUP_PASSPHRASE", SECRET)
    done = cooee("store", "restore", str(file))
    assert done.exit_code == 0, done.output
    assert "cooee login alice" in done.stdout
    folder = tmp_path / "other" / "profiles" / "alice"
    account = load_account(folder)
    assert account is not None
    assert (account.user_id, account.device_id, account.logged_in) == ("alice", "d1", False)
    with closing(Store(folder, open_key(folder))) as store:
        assert store.restored
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(("length", "warned"), [(SHORT_PASSPHRASE - 1, True), (SHORT_PASSPHRASE, False)])
def test_a_short_passphrase_of_a_backup_is_warned_of_and_taken(
    cooee: Cooee, alice: Path, tmp_path: Path, length: int, warned: bool
) -> None:
    made = cooee("store", "backup", str(tmp_path / "alice.cooee"), given="x" * length + "\n")
    assert made.exit_code == 0, made.output
    assert ("shorter than" in made.stderr) == warned


def test_a_restored_store_has_its_key_in_the_keyring(
    cooee: Cooee, unlocked: OpenKeyring, alice: Path, tmp_path: Path
) -> None:
    file = tmp_path / "alice.cooee"
    cooee("store", "backup", str(file), given=f"{SECRET}\n")
    wrong = cooee("store", "restore", str(file), "--as", "second", given="another\n")
    assert wrong.exit_code == REFUSED
    assert unlocked.kept == {}
    assert cooee("store", "restore", str(file), "--as", "second", given=f"{SECRET}\n").exit_code == 0
    assert protection(alice.with_name("second")) == "elsewhere"
    assert len(unlocked.kept) == 1
    assert cooee("store", "restore", str(file), "--as", "second", given=f"{SECRET}\n").exit_code == REFUSED
    assert cooee("--as", "second", "logout", "--erase", "--forget").exit_code != 0  # it is logged out: nothing to do
    assert protection(alice.with_name("second")) == "elsewhere"


def test_erasing_a_store_takes_its_key_out_of_the_keyring(cooee: Cooee, unlocked: OpenKeyring, alice: Path) -> None:
    cooee("store", "protect")
    account = load_account(alice)
    assert account is not None
    assert unlocked.kept
    save_account(alice, account)
    assert cooee("logout", "--forget", "--erase").exit_code == 0
    assert not alice.exists()
    assert unlocked.kept == {}


def test_a_key_shows_nothing_of_itself(unlocked: OpenKeyring, cooee: Cooee, alice: Path) -> None:
    key = StoreKey.generate()
    assert key.raw.hex() not in repr(key)
    told = cooee("store", "protect", "--json")
    assert (
        open_key(alice, store_key=None if protection(alice) == "file" else _kept(unlocked)).raw.hex() not in told.output
    )


def _kept(system: OpenKeyring) -> bytes:
    import base64  # noqa: PLC0415

    return base64.b64decode(next(iter(system.kept.values())))
