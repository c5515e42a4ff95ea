"""``cooee bench``: load on a server, and figures."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import click
from rich.console import Console

from cooee.bench import pairs as pairs_scenario
from cooee.bench.target import target


@click.group()
def bench() -> None:
    """Load a server and print figures.

    Without --url a server of its own is started on an empty folder, with all rules on and rates raised by
    configuration, and its CPU time is read; --url loads one that runs elsewhere.
    """


@bench.command()
@click.option("--url", help="Load this server instead of one of our own.")
@click.option("--pairs", default=200, show_default=True, type=click.IntRange(1, 9000), help="Pairs of users.")
@click.option(
    "--window", default=10, show_default=True, type=click.IntRange(1, 256), help="Messages on their way each."
)
@click.option("--rate", default=0.0, help="Messages a second over all pairs, instead of a window.")
@click.option("--seconds", default=10.0, show_default=True, help="How long to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pairs(url: str | None, as_json: bool, **options: Any) -> None:
    """Messages between pairs of users: durable, acked, delivered, received, and receipted at the sender."""

    async def scenario() -> dict[str, Any]:
        async with target(url) as server:
            return await pairs_scenario.run(server, **options)

    _report(_run(scenario, as_json), as_json)


def _run(scenario: Callable[[], Coroutine[Any, Any, dict[str, Any]]], as_json: bool) -> dict[str, Any]:
    console = Console(stderr=True)
    quiet = as_json or not console.is_terminal
    waiting = contextlib.nullcontext() if quiet else console.status("Accounts are made and the load runs …")
    try:
        with waiting:
            return _loop()(scenario())
    except (ConnectionError, OSError) as problem:
        raise click.ClickException(f"the server cannot be loaded: {problem}") from None


def _loop() -> Callable[[Coroutine[Any, Any, dict[str, Any]]], dict[str, Any]]:
    try:
        import uvloop  # noqa: PLC0415  # absent where it cannot be built
    except ImportError:
        return asyncio.run
    return uvloop.run


def _report(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        if value is not None:
            shown = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
            click.echo(f"{name:{width}}  {shown}")
