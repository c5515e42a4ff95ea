"""One core for the two threads that take turns anyway: the event loop's and the store's writer.

Only one thread runs Python at a time. On two cores these two wake each other across them, for each batch twice; on one
they do not. Nothing else stays there: password hashes, reads and the processes that look at files have all cores.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

AUTO, NONE = "auto", "none"
_PROCESSOR = 36
"""The core in ``/proc/<id>/stat``, counted from the field behind the name (proc(5))."""


class CoreRefused(Exception):
    """The threads cannot be kept on that core; the message says why and what to do."""


@contextlib.contextmanager
def sharing_core(setting: str, *others: int) -> Iterator[int | None]:
    """Keep this thread and ``others`` (native ids) on one core meanwhile; yield it, None: wherever the system wants.

    ``setting`` is the core's number, `AUTO` for the one that this thread runs on now, or `NONE`.

    Raises:
        CoreRefused: a number that cannot be had. `AUTO` does without.
    """
    core = _chosen(setting)
    if core is None:
        yield None
        return
    allowed = os.sched_getaffinity(0)
    threads = (threading.get_native_id(), *others)
    former = threading.getprofile()
    try:
        kept = _keep(threads, core, setting)
        if kept:
            threading.setprofile(_beginning_on(allowed))  # runs first in every new thread, a library's too
        yield core if kept else None
    finally:
        threading.setprofile(former)
        for thread in threads:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, allowed)


def _keep(threads: Sequence[int], core: int, setting: str) -> bool:
    try:
        for thread in threads:
            os.sched_setaffinity(thread, {core})
    except OSError as problem:
        if setting == AUTO:
            return False
        raise CoreRefused(f'server.core is {setting}: {problem.strerror}; set it to "{NONE}"') from None
    return True


def _beginning_on(cores: set[int]) -> Callable[..., None]:
    """Return what undoes in a new thread the bond that it has from its parent, and its child processes from it."""

    def begin(*_: object) -> None:
        sys.setprofile(None)
        os.sched_setaffinity(0, cores)

    return begin


def _chosen(setting: str) -> int | None:
    if setting == NONE:
        return None
    if not hasattr(os, "sched_setaffinity"):
        if setting == AUTO:
            return None
        raise CoreRefused(f'server.core is {setting}, and only Linux keeps threads on a core; set it to "{NONE}"')
    allowed = os.sched_getaffinity(0)
    if setting == AUTO:
        return _present() if len(allowed) > 1 else None
    if int(setting) not in allowed:
        cores = ", ".join(map(str, sorted(allowed)))
        raise CoreRefused(f"server.core is {setting}, and this process may use these cores only: {cores}")
    return int(setting)


def _present() -> int:
    fields = Path("/proc/thread-self/stat").read_text("ascii").rpartition(") ")[2].split()
    return int(fields[_PROCESSOR])
