"""Files in `cooee chat` against the real server: sent by a path, shown as a line, opened by the system's viewer."""

from pathlib import Path

import pytest

from tests.integration.cafe import Cafe, pair
from tests.integration.harness import ServerProcess
from tests.integration.seats import Seat

PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)


class Viewer:
    """Stands where the system's viewer is, and notes what it is given."""

    def __init__(self, seat: Seat) -> None:
        self.shown: list[Path] = []
        seat.app.deeds.view = self

    async def __call__(self, path: Path) -> bool:
        self.shown.append(path)
        return True


async def two(server: ServerProcess, cafe: Cafe) -> tuple[Seat, Seat]:
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    await alice.opens(bob_id)
    await bob.opens(alice_id)
    return alice, bob


def modes(folder: Path, name: str) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in folder.rglob(name)]


async def selects_last(seat: Seat) -> None:
    await seat.press("up")
    await seat.until(lambda: seat.app.right.messages.has_focus, "the messages")


async def test_a_file_is_sent_by_its_path_and_opened(server: ServerProcess, cafe: Cafe, tmp_path: Path) -> None:
    alice, bob = await two(server, cafe)
    viewer = Viewer(bob)
    (tmp_path / "cat.png").write_bytes(PNG)
    await alice.types(f"/file {tmp_path}/cat.png\nthe cat")
    await alice.press("enter")
    await alice.until(lambda: alice.bubble("the cat"), "the own file")
    await bob.sees("[image] cat.png (2.9 KiB, image/png)")
    await bob.sees("the cat")
    await selects_last(bob)
    await bob.press("enter")
    await bob.until(lambda: viewer.shown, "the viewer")
    assert viewer.shown[0].name == "cat.png"
    assert viewer.shown[0].read_bytes() == PNG
    assert bob.client.folder in viewer.shown[0].parents
    await bob.press("o")
    await bob.until(lambda: len(viewer.shown) == 2, "the viewer again")
    assert viewer.shown[0] == viewer.shown[1]


async def test_a_window_asks_for_the_file(
    server: ServerProcess, cafe: Cafe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alice, bob = await two(server, cafe)
    (tmp_path / "holiday plans.txt").write_text("tea\n")
    await alice.press("ctrl+t")
    await alice.sees("Send a file")
    await alice.types("holi")
    await alice.sees("holiday plans.txt")
    await alice.press("right", "enter")
    await alice.types("read this")
    await alice.press("enter")
    await bob.sees("[document] holiday plans.txt (4 bytes, text/plain)")
    await bob.sees("read this")


async def test_what_could_run_is_saved_and_not_opened(server: ServerProcess, cafe: Cafe, tmp_path: Path) -> None:
    alice, bob = await two(server, cafe)
    viewer = Viewer(bob)
    (tmp_path / "run.sh").write_text("#!/bin/sh\ntouch /nowhere\n")
    await alice.types(f"/file {tmp_path}/run.sh")
    await alice.press("enter")
    await bob.sees("[document] run.sh")
    await selects_last(bob)
    await bob.press("o")
    await bob.sees("Not opened")
    assert not viewer.shown
    assert modes(bob.client.folder / "files", "run.sh") == [0o600]


async def test_a_path_that_leads_nowhere_is_told(server: ServerProcess, cafe: Cafe, tmp_path: Path) -> None:
    alice, _ = await two(server, cafe)
    await alice.types(f"/file {tmp_path}/missing.png")
    await alice.press("enter")
    await alice.sees("cannot be read")
    assert not alice.bubbles
