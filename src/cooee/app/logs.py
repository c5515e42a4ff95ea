"""Structured logs: for people on a terminal, JSON lines otherwise. Never content, tokens or passwords."""

import logging
import sys
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
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
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
    last = [structlog.processors.format_exc_info] if not console else []
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, renderer],
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
