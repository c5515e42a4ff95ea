"""A bar is there when work takes its time and somebody looks, and gone without a trace."""

import io
import sys

import pytest

from cooee.cli.progress import Bar


class Screen(io.StringIO):
    """A terminal for standard error."""

    def isatty(self) -> bool:
        return True


def a_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Let standard error be a terminal, for this test."""
    shown = Screen()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return shown


def begun(bar: Bar) -> None:
    """Let the time be over after which the bar shows itself."""
    assert bar._timer is not None
    bar._timer.cancel()
    bar._begin()


def test_what_takes_long_is_shown_and_wiped_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Bar("Exporting", after_s=1e6) as bar:
        bar.show("Exporting", 30, 120)
        begun(bar)
        bar.show("Writing [b]", 60, 120)
        assert "Exporting" in screen.getvalue()
    told = screen.getvalue()
    assert "Writing [b]" in told
    assert "60/120" in told
    assert told.endswith("\x1b[2K")


def test_what_is_quick_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Bar("Exporting", after_s=1e6) as bar:
        bar.show("Exporting", 1, 2)
        with bar.aside():
            pass
    begun(bar)
    assert screen.getvalue() == ""


def test_it_steps_aside_for_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Bar("Looking", after_s=1e6) as bar:
        begun(bar)
        with bar.aside():
            before = screen.getvalue()
            assert before.endswith("\x1b[2K")
            screen.write("a line\n")
            assert screen.getvalue() == before + "a line\n"
        assert "Looking" in screen.getvalue().partition("a line\n")[2]


def test_bytes_are_counted_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Bar("Copying", unit="bytes", after_s=1e6) as bar:
        bar.show("Copying", 2_000_000, 8_000_000)
        begun(bar)
    assert "2.0/8.0 MB" in screen.getvalue()


def test_after_it_has_ended_it_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Bar("Looking", after_s=1e6) as bar:
        begun(bar)
        bar.end()
        before = screen.getvalue()
        bar.show("Looking", 1, 2)
    assert screen.getvalue() == before


@pytest.mark.parametrize("quiet", [True, False])
def test_without_a_terminal_or_when_unwanted_nothing_is_ever_shown(
    quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar("Looking", quiet=quiet, after_s=0) as bar:
        assert bar._timer is None
        bar.show("Looking", 1, 2)
    assert capsys.readouterr().err == ""
