"""`MediaInspector` by a process for each file, a few side by side, each bounded in memory and time."""

import asyncio
import contextlib
import stat
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from cooee.adapters.inspect.exchange import (
    SUFFIX,
    THUMBNAIL_BYTES,
    THUMBNAIL_TYPE,
    Answer,
    Order,
    decode_answer,
    encode,
)
from cooee.adapters.inspect.process import LookingProcess, OutOfTime
from cooee.adapters.inspect.programs import find_programs
from cooee.domain.errors import unavailable
from cooee.domain.media_settings import MIB, MediaSettings
from cooee.ports.media_inspector import Findings, Unseen

QUEUE = 32
"""How many files may wait, for each that is looked at."""
ATTEMPTS = 2
"""A process that dies of what is not the file's doing is replaced once."""

_log = structlog.get_logger(__name__)


class InspectionCounters:
    """What was looked at since the start."""

    def __init__(self) -> None:
        self.inspected = 0
        self.unseen: Counter[Unseen] = Counter()
        self.seconds = 0.0
        self.replaced = 0


class ProcessInspector:
    """`MediaInspector`. Between files there is no process, so idle it holds no memory."""

    def __init__(self, settings: MediaSettings) -> None:
        self.counters = InspectionCounters()
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.inspection_processes)
        self._waiting = 0
        self._programs = find_programs()
        self._has_told = self._programs is not None
        self._running: set[LookingProcess] = set()
        self._threads = ThreadPoolExecutor(settings.inspection_processes, "looking")
        self._closed = False

    async def inspect(self, path: Path, content_type: str) -> Findings:
        """Look at a file in a process of its own."""
        if self._closed or self._waiting >= self._settings.inspection_processes * (QUEUE + 1):
            raise unavailable("no more files can be looked at now; try later")
        self._waiting += 1
        try:
            async with self._turns:
                return await self._look(path, content_type)
        finally:
            self._waiting -= 1

    async def aclose(self) -> None:
        """Kill what runs; who waits is told ``unavailable``."""
        self._closed = True
        for process in tuple(self._running):
            process.kill()
        self._threads.shutdown(wait=False, cancel_futures=False)

    @property
    def process_ids(self) -> list[int]:
        """Ids of the processes that run now."""
        return [process.pid for process in self._running if process.pid is not None]

    async def _look(self, path: Path, content_type: str) -> Findings:
        began = time.monotonic()
        thumbnail = path.with_name(path.name + SUFFIX)
        answer = Answer(unseen=Unseen.CRASHED)
        for attempt in range(ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                thumbnail.unlink()
            answer = await self._ask(path, content_type)
            if answer.unseen is not Unseen.CRASHED:
                break
            self.counters.replaced += attempt == 0
        self._count(answer, time.monotonic() - began)
        if not answer.thumbnail:
            thumbnail.unlink(missing_ok=True)
        return Findings(
            content_type=answer.content_type,
            width=answer.width,
            height=answer.height,
            duration_ms=answer.duration_ms,
            blurhash=answer.blurhash,
            waveform=answer.waveform,
            thumbnail=thumbnail if answer.thumbnail else None,
            thumbnail_type=THUMBNAIL_TYPE if answer.thumbnail else "",
            unseen=answer.unseen,
        )

    async def _ask(self, path: Path, content_type: str) -> Answer:
        if self._closed:
            raise unavailable("no more files can be looked at now; try later")
        order = self._order(path, content_type)
        process = LookingProcess(encode(order), order.seconds)
        self._running.add(process)
        running = asyncio.get_running_loop().run_in_executor(self._threads, process.run)
        try:
            said = await asyncio.shield(running)
        except OutOfTime:
            return Answer(unseen=Unseen.TIME)
        except OSError:
            raise unavailable("no process can be started now; try later") from None
        except asyncio.CancelledError:
            process.kill()
            await asyncio.wait({running})
            raise
        finally:
            self._running.discard(process)
        if self._closed:
            raise unavailable("no more files can be looked at now; try later")
        return _checked(said, path)

    def _order(self, path: Path, content_type: str) -> Order:
        settings = self._settings
        return Order(
            str(path.absolute()),
            content_type,
            settings.thumbnail_pixels,
            settings.inspection_memory_mib * MIB,
            settings.inspection_seconds,
            self._programs,
        )

    def _count(self, answer: Answer, seconds: float) -> None:
        self.counters.inspected += 1
        self.counters.seconds += seconds
        if answer.unseen is not None:
            self.counters.unseen[answer.unseen] += 1
        if answer.unseen is Unseen.NO_PROGRAM and not self._has_told:
            self._has_told = True
            _log.warning("videos and sounds get no posters and waveforms: there is no ffmpeg and ffprobe")


def _checked(said: bytes, path: Path) -> Answer:
    """Read an answer as what a hostile file may have made of it."""
    try:
        answer = decode_answer(said)
    except (msgspec.MsgspecError, UnicodeError):
        return Answer(unseen=Unseen.CRASHED)
    if answer.thumbnail and not _is_thumbnail(path.with_name(path.name + SUFFIX)):
        return Answer(answer.content_type, unseen=Unseen.BROKEN)
    return answer


def _is_thumbnail(path: Path) -> bool:
    """Tell whether it is a plain file of sensible size, and no link to another."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and 0 < found.st_size <= THUMBNAIL_BYTES and found.st_nlink == 1
