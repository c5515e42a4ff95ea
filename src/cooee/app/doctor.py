"""``cooee admin doctor``: looks at the machine, the data folder and the configuration, and says what to do.

Each check is a function that yields findings; what it looks at is given to it, so that it can be tried on anything.
"""

import contextlib
import ctypes
import ipaddress
import os
import resource
import shutil
import stat
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from cooee.app.config import Config

_MIB = 1024 * 1024
_OTHER_FILES = 256
_FSYNCS = 20
_SLOW_FSYNC_S = 0.02
_SOBER_TIME_S = 1_735_689_600
_JUMP_S = 0.05
_TIME_ERROR = 5
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"})


class Finding(NamedTuple):
    """One result. ``advice`` says what to do, empty where all is well."""

    check: str
    level: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""


def files(config: Config, limit: int) -> Iterator[Finding]:
    """Compare the limit of open files (-1: none) with what the connections need."""
    needed = config.limits.max_connections + _OTHER_FILES
    if limit in (-1, resource.RLIM_INFINITY) or limit >= needed:
        told = "without limit" if limit in (-1, resource.RLIM_INFINITY) else f"{limit:,}"
        yield Finding("files", "ok", f"open files: {told}; {needed:,} are needed for all connections")
        return
    yield Finding(
        "files",
        "warning",
        f"the system allows {limit:,} open files, and {needed:,} are needed for limits.max_connections",
        "raise the hard limit (LimitNOFILE= in the unit, ulimit -Hn), or lower limits.max_connections",
    )


def file_limit(pid: int | None) -> int:
    """Return how many files a running server may open; without one, what this user could have. -1: no limit."""
    if pid is not None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/limits").read_text("ascii").splitlines():
                if line.startswith("Max open files"):
                    return -1 if line.split()[3] == "unlimited" else int(line.split()[3])
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def disk(folder: Path) -> Iterator[Finding]:
    """Look for room, for a file system that does not do, and how long a forced write takes."""
    kind = file_system(folder, Path("/proc/mounts"))
    if kind in _REMOTE:
        yield Finding(
            "disk", "problem", f"the data folder lies on {kind}, a network file system", "move it to a local disk"
        )
    free = shutil.disk_usage(folder).free
    store = sum(path.stat().st_size for path in folder.glob("cooee.db*"))
    text = f"{free // _MIB:,} MiB free, the store has {store // _MIB:,}"
    if free < 100 * _MIB:
        yield Finding("disk", "problem", text, "make room now: a full disk takes no messages")
    elif free < max(1024 * _MIB, store):
        yield Finding("disk", "warning", text, "make room: an upgrade needs a second copy of the store")
    else:
        yield Finding("disk", "ok", text)
    try:
        took = fsync_s(folder)
    except OSError as problem:
        yield Finding("disk", "problem", f"nothing can be written to {folder}: {problem.strerror}", "see its owner")
        return
    text = f"a forced write takes {took * 1000:.1f} ms"
    if took > _SLOW_FSYNC_S:
        yield Finding("disk", "warning", text, "every ack waits for one: use a faster disk, or find what keeps it busy")
    else:
        yield Finding("disk", "ok", text)


def fsync_s(folder: Path) -> float:
    """Return the median time of writing 4 KiB and forcing it to the disk."""
    path = folder / "doctor.partial"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        took = []
        for _ in range(_FSYNCS):
            started = time.perf_counter()
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - started)
        return statistics.median(took)
    finally:
        os.close(descriptor)
        path.unlink()


def file_system(folder: Path, mounts: Path) -> str:
    """Return the type of the file system that a folder lies on, empty when the table ``mounts`` does not tell."""
    found, longest = "", -1
    with contextlib.suppress(OSError):
        for line in mounts.read_text("utf-8", "replace").splitlines():
            _, at, kind, *_ = [*line.split(" "), "", "", ""]
            place = Path(at.replace("\\040", " "))
            if folder.resolve().is_relative_to(place) and len(place.parts) > longest:
                found, longest = kind, len(place.parts)
    return found


def clock(now_s: float, drift_s: float, *, synchronised: bool | None) -> Iterator[Finding]:
    """Judge the wall clock: what it shows, how far it moved against the steady one, whether it is kept right."""
    if now_s < _SOBER_TIME_S:
        shown = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        yield Finding("clock", "problem", f"it shows {shown}", "set it before people write: times are kept for good")
    if abs(drift_s) > _JUMP_S:
        yield Finding(
            "clock", "warning", f"it moved by {drift_s * 1000:.0f} ms while it was watched", "see what sets it"
        )
    if synchronised is False:
        yield Finding("clock", "warning", "nothing keeps it right", "run chrony, ntpd or systemd-timesyncd")
    elif synchronised is None:
        yield Finding("clock", "ok", "whether something keeps it right is not told here")
    else:
        yield Finding("clock", "ok", "it is kept right by NTP")


def watched_clock() -> Iterator[Finding]:
    """Watch this machine's clock for a moment and judge it."""
    before = time.time() - time.monotonic()
    time.sleep(0.2)
    yield from clock(time.time(), time.time() - time.monotonic() - before, synchronised=_synchronised())


def _synchronised() -> bool | None:
    """Ask the kernel, by adjtimex(2), whether a time service steers the clock; None: it does not tell."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def configuration(config: Config) -> Iterator[Finding]:
    """Look for settings that are right for a test at home and wrong for the world."""
    server, found = config.server, False
    for finding in (*_exposure(config), *_proxies(config), *_weakness(config)):
        found = True
        yield finding
    if not found:
        where = server.public_url or f"{server.host}:{server.port}"
        yield Finding("configuration", "ok", f"for {where}, registration {config.accounts.registration}")


def _exposure(config: Config) -> Iterator[Finding]:
    server = config.server
    public = urlsplit(server.public_url)
    if not is_loopback(server.host) and not server.public_url and not _encrypts(config):
        yield Finding(
            "configuration",
            "warning",
            f"it listens on {server.host} without TLS, and server.public_url is not set",
            "serve with --lan or --tls-cert, or put a proxy with TLS in front (deploy/), and set public_url",
        )
    if public.scheme == "http" and not is_loopback(public.hostname or ""):
        yield Finding(
            "configuration",
            "warning",
            f"server.public_url is {server.public_url}: passwords and messages go unencrypted",
            "put a proxy with TLS in front and say https:// (browsers need it, too)",
        )
    if config.accounts.registration == "open" and _reached_from_elsewhere(config):
        yield Finding(
            "configuration",
            "warning",
            "anybody who finds this server may register",
            'set accounts.registration = "invite", unless it is meant',
        )


def _proxies(config: Config) -> Iterator[Finding]:
    server = config.server
    if server.public_url.startswith("https:") and not server.trusted_proxies and not _encrypts(config):
        yield Finding(
            "configuration",
            "warning",
            "there is a proxy (public_url is https), but server.trusted_proxies is empty: all clients seem to be it",
            'set trusted_proxies to its address, for example ["127.0.0.1/32"]',
        )
    for key, networks in (
        ("server.trusted_proxies", server.trusted_proxies),
        ("limits.exempt", config.limits.exempt),
    ):
        for network in networks:
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                yield Finding("configuration", "problem", f"{key} holds {network}: everybody", "name the few it is for")


def _weakness(config: Config) -> Iterator[Finding]:
    accounts = config.accounts
    if accounts.min_password_length < 8 and _reached_from_elsewhere(config):
        yield Finding(
            "configuration",
            "warning",
            f"passwords may have {accounts.min_password_length} characters",
            "set accounts.min_password_length to 8 or more",
        )
    if accounts.argon2_memory_kib < 7168:
        yield Finding(
            "configuration",
            "warning",
            f"a password's hash takes {accounts.argon2_memory_kib} KiB: quick to guess",
            "leave accounts.argon2_memory_kib at its default",
        )


def _encrypts(config: Config) -> bool:
    return config.server.lan or bool(config.server.tls_cert)


def _reached_from_elsewhere(config: Config) -> bool:
    public = urlsplit(config.server.public_url).hostname
    return config.server.lan or not is_loopback(config.server.host) or (public is not None and not is_loopback(public))


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own, without asking anybody."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def permissions(folder: Path) -> Iterator[Finding]:
    """Look who may read the data folder and what is in it, and whether it is this user's."""
    found = False
    status = folder.stat()
    if status.st_uid != os.geteuid():
        found = True
        yield Finding(
            "permissions",
            "warning",
            f"{folder} belongs to user {status.st_uid}, and you are {os.geteuid()}",
            "run this, and the server, as the user that owns it",
        )
    private = not status.st_mode & 0o077
    for path in (folder, *sorted(folder.iterdir())):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink() and not (private and path != folder):
            found = True
            wanted = "0700" if path.is_dir() else "0600"
            yield Finding(
                "permissions",
                "problem",
                f"others may read {path} (mode {mode:04o})",
                f"chmod {wanted} {path}",
            )
    if not found:
        yield Finding("permissions", "ok", f"{folder} is its user's alone")


def media(where: str, wrong: str) -> Iterator[Finding]:
    """Judge what the look at the store of files told."""
    if wrong:
        yield Finding("media", "problem", f"{where}: {wrong}", "see docs/operations.md, Files")
    else:
        yield Finding("media", "ok", f"files of messages can go to {where}")


def push(platforms: Sequence[str], wrong: str) -> Iterator[Finding]:
    """Judge what the look at the keys of the push platforms told."""
    if wrong:
        yield Finding("push", "problem", wrong, "see docs/push.md")
    else:
        yield Finding("push", "ok", f"notifications can go by {', '.join(platforms)}")


def store(schema: int, newest: int, wrong: str, *, online: bool) -> Iterator[Finding]:
    """Judge what the examination of the store told."""
    depth = "quickly, because the server runs" if online else "from end to end"
    if wrong:
        yield Finding(
            "store", "problem", f"the store is damaged: {wrong}", "stop, keep a copy of the folder, restore a backup"
        )
    else:
        yield Finding("store", "ok", f"the store is sound (examined {depth})")
    if schema < newest:
        yield Finding(
            "schema",
            "warning",
            f"the store has schema version {schema}, and this program {newest}",
            "it is brought up to date at the next start; back it up before",
        )
    else:
        yield Finding("schema", "ok", f"version {schema}")
