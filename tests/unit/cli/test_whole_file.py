"""A file is there wholly or not at all."""

import errno
import stat
from pathlib import Path

import pytest

from cooee.cli.errors import CliError
from cooee.cli.whole_file import check_target, whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_gets_its_name_at_the_end_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "log.txt"
    with whole_file(target, force=False) as file:
        file.write(b"all of it")
        assert not target.exists()
    assert target.read_bytes() == b"all of it"
    assert names(tmp_path) == ["log.txt"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("end", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), ValueError()])
def test_what_breaks_off_leaves_nothing_and_what_was_there(tmp_path: Path, end: BaseException) -> None:
    target = tmp_path / "log.txt"
    target.write_bytes(b"former")

    def broken_off() -> None:
        with whole_file(target, force=True) as file:
            file.write(b"half")
            raise end

    with pytest.raises(type(end)) as problem:
        broken_off()
    assert target.read_bytes() == b"former"
    assert names(tmp_path) == ["log.txt"]
    if isinstance(problem.value, OSError):
        assert problem.value.filename == str(target)


def test_nothing_is_replaced_that_nobody_wanted_replaced(tmp_path: Path) -> None:
    target = tmp_path / "log.txt"

    def overtaken() -> None:
        with whole_file(target, force=False) as file:
            file.write(b"new")
            target.write_bytes(b"somebody else's")

    with pytest.raises(CliError, match="came meanwhile"):
        overtaken()
    assert target.read_bytes() == b"somebody else's"
    with pytest.raises(CliError, match="--force"):
        check_target(target, force=False)
    with whole_file(target, force=True) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["log.txt"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    target = tmp_path / f"{'漢' * 83}.jsonl"  # 255 bytes
    with whole_file(target, force=False) as file:
        file.write(b"all of it")
    assert names(tmp_path) == [target.name]


def test_a_link_to_nowhere_is_something_too(tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "log.txt", tmp_path / "elsewhere"
    target.symlink_to(elsewhere)
    with pytest.raises(CliError, match="is there already"):
        check_target(target, force=False)
    with whole_file(target, force=True) as file:
        file.write(b"new")
    assert not elsewhere.exists()
    assert target.read_bytes() == b"new"


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is a folder"):
        check_target(tmp_path, force=True)
    with pytest.raises(CliError, match="no folder"):
        check_target(tmp_path / "no" / "log.txt", force=False)
