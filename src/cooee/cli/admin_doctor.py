"""``cooee admin doctor``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from cooee.app import doctor as checks
from cooee.app.config import Config
from cooee.app.doctor import Finding
from cooee.app.tls.checkup import certificate
from cooee.cli.admin_place import Place, pass_place
from cooee.cli.admin_socket import AdminSocket, NobodyListens
from cooee.cli.choices import json_option
from cooee.cli.errors import REFUSED, CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.progress import Bar
from cooee.cli.render import safe
from cooee.client.errors import ServerError
from cooee.protocol.http import Health

_MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


@click.command()
@json_option
@pass_place
@pass_invocation
def doctor(invocation: Invocation, place: Place) -> None:
    """Look for what is wrong, or soon will be, and say what to do.

    Open files, disk, clock, configuration, permissions, where files of messages lie, and the store: quickly while the
    server runs, from end to end while it does not. Ends with 1 when there is a problem; warnings alone end with 0. Give
    it the server's configuration.
    """
    worst = 0
    for finding in _watched(invocation, _findings(place)):
        worst |= finding.level == "problem"
        record = {"type": "finding", **finding._asdict()}
        advice = [f"        → {safe(finding.advice)}"] if finding.advice else []
        invocation.tell(record, f"{_MARKS[finding.level]} {finding.check}: {safe(finding.text)}", *advice)
    if worst:
        raise click.exceptions.Exit(REFUSED)


def _watched(invocation: Invocation, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings; say that the search goes on where one takes its time, as that for the store may."""
    while True:
        with Bar("Looking; a large store takes a while", quiet=invocation.as_json):
            finding = next(findings, None)
        if finding is None:
            return
        yield finding


def _findings(place: Place) -> Iterator[Finding]:
    config = place.config()
    folder = Path(config.server.data_dir)
    yield from checks.configuration(config)
    yield from certificate(config.server)
    if not folder.is_dir():
        yield from checks.files(config, checks.file_limit(None))
        yield Finding("store", "warning", f"there is no data folder {folder}", "name it, or start the server once")
        return
    online, found = _server(AdminSocket(folder / "admin.sock"))
    yield from found
    yield from checks.files(config, checks.file_limit(_pid(folder) if online else None))
    yield from checks.disk(folder)
    yield from checks.watched_clock()
    yield from checks.permissions(folder)
    yield from _store(config, online=online)
    yield from _media(config)
    yield from _push(config)


def _server(socket: AdminSocket) -> tuple[bool, list[Finding]]:
    try:
        socket.call("GET", "/readyz", Health)
    except NobodyListens:
        return False, [Finding("server", "ok", "it does not run")]
    except ServerError as refusal:
        text = f"it runs, and takes no clients: {refusal.message}"
        return True, [
            Finding("server", "problem", text, "see its log; free disk space, or wait for the end of a drain")
        ]
    except CliError as failure:
        return True, [Finding("server", "problem", failure.message, "see its log, and who you are")]
    return True, [Finding("server", "ok", "it runs, and clients are welcome")]


def _pid(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((folder / "cooee.lock").read_text("ascii"))
    return None


def _store(config: Config, *, online: bool) -> Iterator[Finding]:
    if not (Path(config.server.data_dir) / "cooee.db").exists():
        yield Finding("store", "warning", "there is no store yet", "start the server once, or restore a backup")
        return
    from cooee.app.wiring import StoreFailed, examine_store  # noqa: PLC0415  # the server's imports, only when needed

    try:
        yield from checks.store(*examine_store(config, online=online), online=online)
    except StoreFailed as problem:
        yield Finding("store", "problem", str(problem), "see docs/operations.md, When it does not start")


def _media(config: Config) -> Iterator[Finding]:
    from cooee.app.media_store import examine_media  # noqa: PLC0415  # as above

    yield from checks.media(*examine_media(config))


def _push(config: Config) -> Iterator[Finding]:
    from cooee.app.wiring import examine_platforms  # noqa: PLC0415  # as above

    yield from checks.push(*examine_platforms(config))
