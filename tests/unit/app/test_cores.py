"""The two busiest threads share a core, and nothing else is kept there."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cooee.app.cores import AUTO, NONE, CoreRefused, sharing_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps threads on a core")


@pytest.fixture
def allowed() -> set[int]:
    return os.sched_getaffinity(0)


@pytest.fixture
def other() -> Iterator[int]:
    """A thread that was there before, by its native id."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread.native_id or 0
    end.set()
    thread.join()


def in_new_thread() -> set[int]:
    found: list[set[int]] = []
    thread = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
    thread.start()
    thread.join()
    return found[0]


def test_this_thread_and_the_other_share_the_core_until_it_is_over(allowed: set[int], other: int) -> None:
    core = max(allowed)
    with sharing_core(str(core), other) as shared:
        assert shared == core
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == {core}
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == allowed


def test_threads_that_begin_meanwhile_have_all_cores(allowed: set[int]) -> None:
    with sharing_core(str(min(allowed))):
        assert in_new_thread() == allowed
    assert in_new_thread() == allowed


def test_processes_that_such_threads_start_have_all_cores(allowed: set[int]) -> None:
    program = "import os; print(sorted(os.sched_getaffinity(0)))"
    found: list[str] = []

    def start() -> None:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        found.append(done.stdout.strip())

    with sharing_core(str(min(allowed))):
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    assert found == [str(sorted(allowed))]


def test_who_watches_new_threads_does_so_again_afterwards(allowed: set[int]) -> None:
    def watching(*_: object) -> None:
        """Stand for a profiler."""

    former = threading.getprofile()
    threading.setprofile(watching)
    try:
        with sharing_core(str(min(allowed))):
            pass
        assert threading.getprofile() is watching
    finally:
        threading.setprofile(former)


def test_auto_takes_a_core_that_it_may_use(allowed: set[int]) -> None:
    with sharing_core(AUTO) as core:
        assert core in allowed or (core is None and len(allowed) == 1)


def test_one_core_is_not_chosen_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _thread: {0})
    with sharing_core(AUTO) as core:
        assert core is None


def test_none_leaves_everything_to_the_system(allowed: set[int]) -> None:
    with sharing_core(NONE) as core:
        assert core is None
        assert os.sched_getaffinity(0) == allowed


def test_a_core_of_others_is_refused(allowed: set[int]) -> None:
    with pytest.raises(CoreRefused, match="these cores only: "), sharing_core(str(max(allowed) + 1)):
        pass


def test_auto_goes_on_where_the_system_forbids_it(monkeypatch: pytest.MonkeyPatch, allowed: set[int]) -> None:
    def forbid(_thread: int, _cores: set[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    with sharing_core(AUTO) as core:
        assert core is None
    with pytest.raises(CoreRefused, match="Operation not permitted"), sharing_core(str(min(allowed))):
        pass


def test_elsewhere_only_a_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    with sharing_core(AUTO) as core:
        assert core is None
    with pytest.raises(CoreRefused, match="only Linux"), sharing_core("0"):
        pass
