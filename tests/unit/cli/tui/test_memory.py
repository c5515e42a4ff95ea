"""Drafts outlive the program, and a damaged file does not stop it."""

import stat
from pathlib import Path

import pytest

from cooee.cli.tui.memory import FILE_NAME, Remembered, recall, remember


def test_what_is_remembered_is_recalled_by_its_owner_alone(tmp_path: Path) -> None:
    assert recall(tmp_path) == Remembered()
    remembered = Remembered("cooee-light", {"dm:alice:bob": "half\na thought 🙂"})
    remember(tmp_path, remembered)
    remember(tmp_path, remembered)
    assert recall(tmp_path) == remembered
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"drafts": 7}', b"\xff\xfe"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    assert recall(tmp_path) == Remembered()


def test_what_a_crash_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
    remember(tmp_path, Remembered("cooee-dark"))
    assert recall(tmp_path).theme == "cooee-dark"
