"""A real S3-compatible store, SeaweedFS, as one process on free ports of this machine."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ACCESS_KEY, SECRET_KEY, BUCKET = "cooee-tests", "a secret of the tests", "media"
_ANSWERS_WITHIN_S = 60.0


class Seaweed(NamedTuple):
    """Where it listens, and its process."""

    endpoint: str
    pid: int


def weed() -> str | None:
    """Return the program, None when it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """Run it in ``folder`` until the block ends."""
    program = weed()
    assert program is not None
    with _free_ports(4) as (master, volume, filer, s3):
        pass
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": "cooee", "credentials": credentials, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    (folder / "data").mkdir()
    arguments = (
        "-logtostderr",
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}",
        "-volume.max=8",
        "-filer",
        f"-filer.port={filer}",
        "-s3",
        f"-s3.port={s3}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
    )
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        _wait(process, s3, folder / "weed.log")
        yield Seaweed(f"http://127.0.0.1:{s3}", process.pid)
    finally:
        process.kill()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return once it answers for its health."""
    until = time.monotonic() + _ANSWERS_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
        time.sleep(0.1)
    pytest.fail(f"weed does not answer:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-3000:]


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    """Find ports that are free together with the one 10,000 above, which weed takes for gRPC."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            above = held.enter_context(socket.socket())
            try:
                above.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            ports.append(port)
        yield ports
