"""The tables that documents take from the code. `scripts/docs` writes them; a test fails when one is stale.

A table stands between ``<!-- made by scripts/docs: NAME -->`` and ``<!-- end -->``; what is around it is written by
hand.
"""

import re
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from cooee.app import config
from cooee.app.telemetry import METRICS
from cooee.domain.limits import Limits, Rate

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("PROTOCOL.md", "docs/configuration.md", "docs/metrics.md")
_BLOCK = re.compile(r"(<!-- made by scripts/docs: (\w+)(?: (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def document(text: str) -> str:
    """Return a document with its tables as the code has them.

    Raises:
        KeyError: there is no table of that name.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{_TABLES[match[2]](match[3] or '')}\n{match[4]}", text)


def table_names(text: str) -> list[str]:
    """Return the names of the tables in a document."""
    return [" ".join(filter(None, match.groups()[1:3])) for match in _BLOCK.finditer(text)]


def _limits(_: str) -> str:
    rows = [
        (f"`{field.name}`", _plain(field.default), _description(field.type)) for field in msgspec.structs.fields(Limits)
    ]
    return _table(("limit", "default", "bounds"), rows)


def _settings(section: str) -> str:
    rows = [
        (
            f"`{setting.key.partition('.')[2]}`",
            _type(setting.type),
            f"`{_toml(setting.default)}`",
            setting.description,
            f"`{setting.env}`",
        )
        for setting in config.settings()
        if setting.key.startswith(f"{section}.")
    ]
    return _table(("key", "type", "default", "says", "variable"), rows)


def _metrics(_: str) -> str:
    rows = [
        (f"`{metric.name}`", metric.kind, f"`{metric.label}`" if metric.label else "", metric.help)
        for metric in METRICS
    ]
    return _table(("metric", "kind", "label", "tells"), rows)


_TABLES: dict[str, Callable[[str], str]] = {"limits": _limits, "settings": _settings, "metrics": _metrics}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _type(annotation: Any) -> str:
    """Return a setting's type as people say it, with its bounds."""
    inner, *meta = typing.get_args(annotation)
    if typing.get_origin(inner) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(inner))
    if typing.get_origin(inner) is tuple:
        return "list of texts"
    if inner in (int, float):
        return _bounded("whole number" if inner is int else "number", meta)
    return {bool: "truth value", str: "text", Rate: "rate"}[inner]


def _bounded(kind: str, meta: Iterable[msgspec.Meta]) -> str:
    bounds = [kind]
    for one in meta:
        low = f"above {one.gt:g}" if one.gt is not None else f"{one.ge:g}" if one.ge is not None else ""
        bounds.append(f"{low} to {one.le}" if one.le is not None else low if one.ge is None else f"{low} or more")
    return ", ".join(bounds)


def _description(annotation: Any) -> str:
    return next((str(one.description) for one in typing.get_args(annotation)[1:] if one.description), "")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Rate):
        return f'"{_rate(value)}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _plain(value: Any) -> str:
    if isinstance(value, Rate):
        return _rate(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _rate(rate: Rate) -> str:
    """Return a rate as it may be written in the configuration, without a burst where the unit says it."""
    units = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
    counts = {unit: round(rate.per_s * seconds, 9) for unit, seconds in units.items()}
    for unit, count in counts.items():
        if count == rate.burst:
            return f"{count:g}/{unit}"
    return f"{counts['s']:g}/s burst {rate.burst}"


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` name the stale documents; return the exit code."""
    stale = False
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text("utf-8")
        after = document(before)
        if before == after:
            continue
        stale = True
        if "--check" in arguments:
            print(f"{name} is stale; run scripts/docs")
        else:
            path.write_text(after, "utf-8")
            print(f"wrote {name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
