"""Run a module or a script where uvloop cannot be imported: ``python without_uvloop.py cooee serve``.

A program, not a module: tests start it in place of ``-m cooee``.
"""

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Absent(MetaPathFinder):
    """Says of uvloop what an installation without it says."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse uvloop, and leave everything else to who comes next."""
        if fullname.partition(".")[0] == "uvloop":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    what = sys.argv.pop(1)
    if what.endswith(".py"):
        runpy.run_path(what, run_name="__main__")
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
