"""``cooee serve``: start, say what is there, wait for a signal, drain, stop."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import structlog

from cooee.app.config import Config
from cooee.app.cores import CoreRefused, sharing_core
from cooee.app.doctor import is_loopback
from cooee.app.garbage import GarbageCollection
from cooee.app.logs import configure_logs
from cooee.app.tls.notice import lan_notice
from cooee.app.tls.pair import CertificateFailed
from cooee.app.wiring import Server, StoreFailed, open_server

_OTHER_FILES = 256
"""Files that are no client's connection: the store, libraries, administration."""

_log = structlog.get_logger(__name__)


class StartFailed(Exception):
    """The server cannot start; the message says why and what to do."""


def run(config: Config) -> None:
    """Run a server until SIGTERM or SIGINT, which drain it; a second one stops it at once.

    Raises:
        StartFailed: the port or the data folder is taken, or the store cannot be used.
    """
    configure_logs(config.log)
    os.umask(0o077)  # what the server writes is its user's alone, whatever the folder's mode
    _runner()(_serve(_within_file_limit(config)))


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop  # noqa: PLC0415  # absent where it cannot be built
    except ImportError:
        _log.info("uvloop is not installed; Python's own event loop runs the server")
        return asyncio.run
    return uvloop.run


async def _serve(config: Config) -> None:
    asked, again = _listen_to_signals()
    folder = Path(config.server.data_dir)
    fresh = not (folder / "cooee.db").exists()  # before anything else runs on the loop
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240  # as above
    except OSError as problem:
        raise StartFailed(f"the data folder {folder} cannot be made: {problem.strerror}") from None
    try:
        server = await open_server(config)
    except (StoreFailed, CertificateFailed) as problem:
        raise StartFailed(str(problem)) from None
    try:
        await _start(server, config)
        with _sharing_core(server, config):
            if server.tls is None:
                _warn_of_plain_http(config)
            _greet(config, server, folder, fresh=fresh)
            await _run(server, config, asked, again)
    finally:
        await server.aclose()
    _log.info("stopped")


async def _run(server: Server, config: Config, asked: asyncio.Event, again: asyncio.Event) -> None:
    garbage = GarbageCollection()
    garbage.begin()
    beside = [asyncio.create_task(garbage.run()), asyncio.create_task(_keep_certificate(server, config))]
    await _until_stopped(server, asked, again)
    for task in beside:
        task.cancel()


async def _start(server: Server, config: Config) -> None:
    try:
        await server.start()
    except StoreFailed as problem:
        raise StartFailed(str(problem)) from None
    except OSError as problem:
        where = f"{config.server.host}:{config.server.port}"
        if config.server.lan:
            where = f"port {config.server.port} or {config.server.lan_port} (server.lan_port)"
        if problem.errno == errno.EADDRINUSE:
            raise StartFailed(f"{where} is in use by another program; choose another port with --port") from None
        if problem.errno == errno.EACCES:
            raise StartFailed(f"this user may not listen on {where}; choose a port above 1023 with --port") from None
        raise StartFailed(f"cannot listen on {where}: {problem.strerror or problem}") from None


@contextlib.contextmanager
def _sharing_core(server: Server, config: Config) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(sharing_core(config.server.core, server.writer_thread))
        except CoreRefused as problem:
            raise StartFailed(str(problem)) from None
        yield


def _listen_to_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Return what the first and the second signal set. Before anything is opened, so that no signal just kills."""
    loop = asyncio.get_running_loop()
    asked, again = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            again.set()
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return asked, again


async def _keep_certificate(server: Server, config: Config) -> None:
    """Watch the certificate's files, and on a local network the addresses; SIGHUP looks at once.

    In a terminal SIGHUP keeps its meaning that the terminal has gone.
    """
    tls = server.tls
    if tls is None:
        return
    again = asyncio.Event()
    if not sys.stdin.isatty():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again.set)
    told = tls.lan.addresses if tls.lan is not None else ()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(again.wait(), config.server.tls_check_s)
        await asyncio.to_thread(tls.keeper.look, anyway=again.is_set())
        again.clear()
        if tls.lan is not None and tls.lan.addresses != told:
            told = tls.lan.addresses
            _tell_lan(server)


async def _until_stopped(server: Server, asked: asyncio.Event, again: asyncio.Event) -> None:
    waiting = [asyncio.create_task(asked.wait()), asyncio.create_task(server.drained())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if asked.is_set() and server.connections:
        _say(f"Draining {server.connections} connections (up to {server.drain_s:g} s; Ctrl-C again stops at once) …")
    drain = asyncio.create_task(server.drain())
    hurry = asyncio.create_task(again.wait())
    await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
    for task in (*waiting, drain, hurry):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _greet(config: Config, server: Server, folder: Path, *, fresh: bool) -> None:
    url = config.server.public_url or server.url
    if server.tls is not None and not server.tls.is_plain_here:
        url = server.tls.https_url(config.server.host) or url
    if fresh:
        _say(f"Made the data folder {folder.resolve()} (the store, its secrets and the administrative socket).")
    else:
        _say(f"Using the data folder {folder.resolve()}.")
    _say(f"Cooee listens on {server.url}")
    if config.accounts.registration == "open":
        _say(f"Next, in another terminal:  cooee register alice --url {url}")
    elif config.accounts.registration == "invite":
        _say("Registration is by invite:  cooee admin invites create")
    else:
        _say("Registration is closed; create accounts with:  cooee admin users create alice")
    _tell_lan(server)
    _say("Stop with Ctrl-C.")


def _tell_lan(server: Server) -> None:
    if server.tls is not None:
        encoding = (sys.stdout.encoding or "").lower().replace("-", "")
        with_code = sys.stdout.isatty() and encoding == "utf8" and os.environ.get("TERM") != "dumb"
        for line in lan_notice(server.tls, server.port, with_code=with_code):
            _say(line)


def _warn_of_plain_http(config: Config) -> None:
    """Say that an address of a network is no place for plain HTTP, unless a proxy is known to stand in front."""
    server = config.server
    if not is_loopback(server.host) and not server.trusted_proxies:
        _log.warning(
            "other machines reach this server by plain http: what they send can be read on the way, and browsers give "
            "its pages no cryptography",
            host=server.host,
            do="serve with --lan, or --tls-cert and --tls-key, or put a proxy with TLS in front and name it in "
            "server.trusted_proxies",
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _within_file_limit(config: Config) -> Config:
    """Let the process open as many files as its connections need; take fewer connections where the system forbids it.

    Beyond the limit the kernel would refuse connections without a word; so the server refuses them with one.
    """
    wanted = config.limits.max_connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < target:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
    if soft >= wanted:
        return config
    connections = max(1, soft - _OTHER_FILES)
    _log.info("the system limits open files, and so connections", files=soft, connections=connections)
    return msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, max_connections=connections))
