"""How far a long piece of work is: one line on standard error, after a second, when that is a terminal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

AFTER_S = 1.0
"""What takes less is not worth a line."""

Unit = Literal["", "bytes"]


class Bar:
    """A bar that shows itself once the work has taken ``after_s`` and is gone without a trace when it ends.

    With ``quiet``, or when standard error is no terminal, nothing is ever written. `show` may be called by any thread,
    and need not be called at all: without a total the bar only says that work goes on. ``unit``: what is counted.
    """

    def __init__(self, text: str, *, quiet: bool = False, unit: Unit = "", after_s: float = AFTER_S) -> None:
        self._known: dict[str, Any] = {"description": text, "completed": 0, "total": None}
        self._unit = unit
        self._bars: Progress | None = None
        self._ended = False
        self._change = threading.Lock()
        wanted = not quiet and sys.stderr.isatty()
        self._timer = threading.Timer(after_s, self._begin) if wanted else None

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Take the bar away; it does not come back."""
        if self._timer is not None:
            self._timer.cancel()
        with self._change:
            self._ended = True
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def show(self, text: str, done: int, total: int | None) -> None:
        """Say what is done now, and how far it is; ``total`` None or 0: nobody knows."""
        with self._change:
            self._known = {"description": text, "completed": done, "total": total or None}
            if self._bars is not None:
                self._bars.update(self._bars.task_ids[0], **self._known)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is written."""
        with self._change:
            if self._bars is not None:
                self._bars.stop()
            yield
            if self._bars is not None:
                self._bars.start()

    def _begin(self) -> None:
        bars = _new(self._unit)
        with self._change:
            if self._ended:
                return
            bars.add_task(**self._known)
            bars.start()
            self._bars = bars


def _new(unit: Unit) -> "Progress":
    from rich import console, progress  # noqa: PLC0415  # only where there is somebody to look at it

    counted: ProgressColumn = progress.DownloadColumn() if unit else progress.MofNCompleteColumn()
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        counted,
        progress.TimeRemainingColumn(),
        progress.TimeElapsedColumn(),
        console=console.Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # what goes to a pipe must not land on the terminal
        redirect_stderr=False,
    )
