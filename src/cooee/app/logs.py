"""Structured logs: for people on a terminal, JSON lines otherwise. Never content, tokens or passwords."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog

from cooee.app.config import LogConfig

_TALKATIVE = ("asyncio", "httpx", "httpcore", "hpack")
"""Libraries that log every request, with tokens of devices in its URL or headers: below a warning they are silent."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send all entries, those of libraries too, to ``stream`` (standard error)."""
    stream = stream or sys.stderr
    console = config.format == "console" or (config.format == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_places),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[config.level])
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Change the level while running.

    Raises:
        KeyError: there is no such level.
    """
    logging.getLogger().setLevel(_LEVELS[level])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))


def _places(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Return of what type an exception is and where it was raised, and the same of what caused it.

    Its text and the values of its variables may quote what a user sent; of the system's errors the reason is told.
    """
    lines: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = exc_info[1]
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        reason = f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
        lines.append(f"{'caused by ' if lines else ''}{type(cause).__name__}{reason}")
        frames = traceback.StackSummary.extract(traceback.walk_tb(cause.__traceback__), lookup_lines=False)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)
