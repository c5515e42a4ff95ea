"""``cooee bench``: load on a server, and figures."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cooee.bench import catchup as catchup_scenario
from cooee.bench import e2ee as e2ee_scenario
from cooee.bench import figures as plain
from cooee.bench import group as group_scenario
from cooee.bench import history as history_scenario
from cooee.bench import idle as idle_scenario
from cooee.bench import pairs as pairs_scenario
from cooee.bench import push as push_scenario
from cooee.bench import reconnect as reconnect_scenario
from cooee.bench.connection import MAX_SOCKETS
from cooee.bench.target import Prepare, Target, target
from cooee.cli.progress import Bar

Scenario = Callable[[Target, plain.Progress], Awaitable[plain.Figures]]

_COUNT = click.IntRange(1)
_SECONDS = click.FloatRange(0, min_open=True)
_Command = Callable[..., None]


@click.group()
def bench() -> None:
    """Load a server and print figures.

    Without --url a server of its own is started on an empty folder, with all rules on and rates raised by
    configuration; --url loads one that runs already. Its CPU time and memory are known when it runs on this machine
    and --data-dir names its folder, which also lets the accounts be made quickly.
    """


def _scenario(command: _Command) -> _Command:
    """Give a scenario's command the options that all have, and print what it returns."""

    @bench.command(name=command.__name__)
    @click.option("--url", help="Load this server instead of one of our own.")
    @click.option(
        "--data-dir", type=click.Path(exists=True, file_okay=False), help="The data folder of --url's server."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @wraps(command)
    def run(*, url: str | None, data_dir: str | None, as_json: bool, **options: Any) -> None:
        if data_dir and not url:
            raise click.UsageError("--data-dir goes with --url; a server of our own has a folder of its own")
        command(lambda scenario, prepare=None: _show(scenario, prepare, url, data_dir, as_json=as_json), **options)

    return run


@_scenario
@click.option(
    "--pairs", default=200, show_default=True, type=click.IntRange(1, MAX_SOCKETS // 2), help="Pairs of users."
)
@click.option(
    "--window", default=10, show_default=True, type=click.IntRange(1, 256), help="Messages on their way each."
)
@click.option("--rate", default=0.0, type=click.FloatRange(0), help="Messages a second in all, instead of a window.")
@click.option("--seconds", default=10.0, show_default=True, type=_SECONDS, help="How long to measure.")
def pairs(show: Any, **options: Any) -> None:
    """Messages between pairs of users: durable, acked, delivered, received, and receipted at the sender."""
    show(lambda server, progress: pairs_scenario.run(server, **options, progress=progress))


@_scenario
@click.option(
    "--connections", default=MAX_SOCKETS, show_default=True, type=click.IntRange(1, MAX_SOCKETS), help="How many."
)
@click.option(
    "--seconds", default=45.0, show_default=True, type=_SECONDS, help="How long they stay; pings begin at 30."
)
def idle(show: Any, **options: Any) -> None:
    """Authenticated connections that do nothing: the memory of each."""
    show(lambda server, progress: idle_scenario.run(server, **options, progress=progress))


@_scenario
@click.option("--members", default=500, show_default=True, type=click.IntRange(2, 500), help="Members, all online.")
@click.option("--window", default=8, show_default=True, type=click.IntRange(1, 256), help="Messages on their way.")
@click.option("--seconds", default=10.0, show_default=True, type=_SECONDS, help="How long to measure.")
def group(show: Any, **options: Any) -> None:
    """One member writes to a group, all the others get it."""
    show(lambda server, progress: group_scenario.run(server, **options, progress=progress))


@_scenario
@click.option(
    "--connections",
    default=MAX_SOCKETS - 200,
    show_default=True,
    type=click.IntRange(1, MAX_SOCKETS),
    help="Connections that are dropped and come back.",
)
@click.option("--rate", default=500.0, show_default=True, type=_SECONDS, help="Messages a second between others.")
@click.option("--seconds", default=20.0, show_default=True, type=_SECONDS, help="How long the others write.")
def reconnect(show: Any, **options: Any) -> None:
    """Connections that are dropped all at once and come back, while others write."""
    show(lambda server, progress: reconnect_scenario.run(server, **options, progress=progress))


@_scenario
@click.option("--users", default=200, show_default=True, type=_COUNT, help="Absent users, each with a browser.")
@click.option("--every", default=0.05, show_default=True, type=_SECONDS, help="Seconds between messages to them.")
@click.option("--rate", default=1000.0, show_default=True, type=_SECONDS, help="Messages a second between others.")
def push(show: Any, **options: Any) -> None:
    """Messages to absent users: how long until their push service has the notification, while others write."""
    show(lambda server, progress: push_scenario.run(server, **options, progress=progress))


@_scenario
@click.option("--conversations", default=2000, show_default=True, type=_COUNT, help="Conversations of the account.")
@click.option("--missed-in", default=50, show_default=True, type=_COUNT, help="Conversations with missed messages.")
@click.option("--messages", default=1000, show_default=True, type=_COUNT, help="Missed messages.")
@click.option("--rounds", default=5, show_default=True, type=_COUNT, help="How often it goes away and comes back.")
def catchup(show: Any, **options: Any) -> None:
    """Somebody who comes back and has missed something in some of many conversations."""
    show(lambda server, progress: catchup_scenario.run(server, **options, progress=progress))


@_scenario
@click.option("--messages", default=1_000_000, show_default=True, type=_COUNT, help="Messages in the store.")
@click.option(
    "--conversations", default=1000, show_default=True, type=_COUNT, help="Conversations they are spread over."
)
@click.option("--page", default=50, show_default=True, type=click.IntRange(1, 200), help="Messages of a page.")
@click.option("--fetches", default=2000, show_default=True, type=_COUNT, help="Pages to fetch.")
def history(show: Any, *, messages: int, conversations: int, **options: Any) -> None:
    """Pages of old messages from anywhere in a large store, which is filled first. Not with --url."""
    show(
        lambda server, progress: history_scenario.run(
            server, messages=messages, conversations=conversations, **options, progress=progress
        ),
        lambda progress: history_scenario.filled(messages, conversations, progress),
    )


@bench.command()
@click.option("--devices", default=1500, show_default=True, type=_COUNT, help="Devices that one message goes to.")
@click.option("--rounds", default=30, show_default=True, type=_COUNT, help="Rounds that each figure is the median of.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def e2ee(*, devices: int, rounds: int, as_json: bool) -> None:
    """End-to-end encryption alone: CPU time of messages and sessions, without a server."""
    with Bar("Encrypting", quiet=as_json) as bar:
        figures = e2ee_scenario.run(
            rounds=rounds, devices=devices, progress=lambda what, done, total: bar.show(what, int(done), int(total))
        )
    _print(figures, as_json=as_json)


def _show(
    scenario: Scenario,
    prepare: Callable[[plain.Progress], Prepare] | None,
    url: str | None,
    data_dir: str | None,
    *,
    as_json: bool,
) -> None:
    """Run a scenario and print its figures."""
    if prepare is not None and url:
        raise click.UsageError("this scenario fills the store of a server of its own; leave --url away")

    async def measured(progress: plain.Progress) -> plain.Figures:
        async with target(url, data_dir, prepare=prepare(progress) if prepare else None) as server:
            return await scenario(server, progress)

    try:
        with _progress(quiet=as_json) as progress:
            figures = _loop()(measured(progress))
    except (OSError, TimeoutError) as problem:
        raise click.ClickException(f"the server cannot be loaded: {problem}") from None
    _print(figures, as_json=as_json)


def _print(figures: plain.Figures, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
    else:
        Console().print(_table(figures))


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[plain.Progress]:
    """Show how far it is, on a terminal."""
    with Bar("Starting the server", quiet=quiet) as bar:
        yield lambda what, done, total: bar.show(what, int(done), int(total))


def _loop() -> Callable[[Coroutine[Any, Any, plain.Figures]], plain.Figures]:
    try:
        import uvloop  # noqa: PLC0415  # absent where it cannot be built
    except ImportError:
        return asyncio.run
    return uvloop.run


def _table(figures: plain.Figures) -> Table:
    table = Table("figure", "value", title=str(figures["scenario"]), title_justify="left")
    for name, value in figures.items():
        if isinstance(value, dict):
            for part, each in value.items():
                table.add_row(f"{name} {part}", f"{each:,}")
        elif value is not None and name != "scenario":
            table.add_row(name, f"{value:,}")
    return table
