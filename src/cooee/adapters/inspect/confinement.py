"""What a process gives up before it opens a stranger's file. Programs that it starts inherit all of it."""

import contextlib
import ctypes
import math
import os
import resource
import sys
from collections.abc import Iterable

from cooee.adapters.inspect.exchange import THUMBNAIL_BYTES
from cooee.adapters.inspect.landlock import Reach, restrict

_MAX_FILES = 64
_NICENESS = 10
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000
_PR_SET_NO_NEW_PRIVS = 38
_PROGRAMS = ("/usr", "/lib", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache", "/etc/ld.so.conf.d")
"""Where programs and their libraries lie."""


def confine(folder: str, programs: Iterable[str], memory_bytes: int, seconds: float) -> None:
    """Bound memory, processor time and what is written, wait behind the server, and leave the network and all files.

    Only ``folder`` stays, and, to be read, ``programs`` and what the system has of them. Memory and time hold for each
    process by itself. Where the system grants neither Landlock nor a namespace, files and network are left in reach;
    what is asked to look at files is told to read one file and to know no protocol all the same.
    """
    cpu = math.ceil(seconds) + 1
    _limit(resource.RLIMIT_AS, memory_bytes, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    _limit(resource.RLIMIT_FSIZE, THUMBNAIL_BYTES, THUMBNAIL_BYTES)
    _limit(resource.RLIMIT_NOFILE, _MAX_FILES, _MAX_FILES)
    _limit(resource.RLIMIT_CORE, 0, 0)
    os.umask(0o077)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        python = (sys.prefix, sys.base_prefix, *filter(None, sys.path))
        restrict(Reach([*_PROGRAMS, *python, *programs], [folder, os.devnull]))


def _limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, never above the one in force. Where that fails the process ends: unbounded it looks at nothing."""
    _, allowed = resource.getrlimit(kind)
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(kind, (soft, hard))
