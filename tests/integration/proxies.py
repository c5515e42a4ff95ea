"""The reverse proxies of `deploy/` as they are, but for addresses, certificates and size, before a real server."""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import AddrInfoType
from websockets.asyncio.client import connect

from tests.integration.harness import ROOT
from tests.integration.peers import DEADLINE_S, Frame, WebSocketPeer, Wire

DEPLOY = ROOT / "deploy"
PROGRAMS = ("nginx", "haproxy", "caddy")
_NGINX_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def program(name: str) -> str | None:
    """Return where a program is, also where ordinary users do not look."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def free_port() -> int:
    """Return a port of loopback that was free a moment ago, of those that the system gives to nobody by itself."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, signed by itself, and return it and its key."""
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-keyout", str(key), "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


def changed(text: str, changes: dict[str, str]) -> str:
    """Return an example with what a deployment changes in it; each must be in it."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the example any more"
        text = text.replace(old, new)
    return text


class ReverseProxy:
    """One proxy in a folder of its own, from `start` to `stop`."""

    def __init__(self, name: str, folder: Path, upstream: str) -> None:
        self.name = name
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.folder = folder
        folder.mkdir(parents=True)
        self.chain, key = certificate(folder)
        upstream = upstream.removeprefix("http://")
        write = {"nginx": self._nginx, "haproxy": self._haproxy, "caddy": self._caddy}[name]
        self._command = [program(name) or name, *write(upstream, key)]
        self._environment = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None

    def _nginx(self, upstream: str, key: Path) -> list[str]:
        site = changed(
            (DEPLOY / "nginx.conf").read_text("utf-8"),
            {
                "127.0.0.1:8080": upstream,
                "listen 443 ": f"listen 127.0.0.1:{self.port} ",
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "/etc/ssl/cooee/fullchain.pem": str(self.chain),
                "/etc/ssl/cooee/privkey.pem": str(key),
            },
        )
        (self.folder / "site.conf").write_text(site)
        user = "user root root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_NGINX_MAIN.format(folder=self.folder, user=user))
        return ["-p", str(self.folder), "-e", "stderr", "-c", str(self.folder / "nginx.conf")]

    def _haproxy(self, upstream: str, key: Path) -> list[str]:
        both = self.folder / "cooee.pem"
        both.write_text(self.chain.read_text() + key.read_text())
        whole = changed(
            (DEPLOY / "haproxy.cfg").read_text("utf-8"),
            {
                "127.0.0.1:8080": upstream,
                "bind :443 ": f"bind 127.0.0.1:{self.port} ",
                "bind :80\n": f"bind 127.0.0.1:{self.plain_port}\n",
                "/etc/haproxy/cooee.pem": str(both),
                "maxconn 60000": "maxconn 500",
            },
        )
        (self.folder / "haproxy.cfg").write_text(whole)
        return ["-db", "-f", str(self.folder / "haproxy.cfg")]

    def _caddy(self, upstream: str, key: Path) -> list[str]:
        site = changed(
            (DEPLOY / "Caddyfile").read_text("utf-8"),
            {
                "127.0.0.1:8080": upstream,
                "chat.example.org {": f"{self.url} {{\n\ttls {self.chain} {key}",
                "\t\tstream_close_delay 1h\n": "",  # Debian's Caddy is older than it
            },
        )
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        (self.folder / "Caddyfile").write_text(options + site)
        return ["run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile")]

    @property
    def output(self) -> str:
        """What the proxy has said."""
        return (self.folder / "output").read_text("utf-8", "replace")

    def check(self) -> str:
        """Have the proxy look at its configuration, and return what it complains of."""
        command = {
            "nginx": [*self._command, "-t"],
            "haproxy": [*self._command, "-c"],
            "caddy": [self._command[0], "validate", *self._command[2:]],
        }[self.name]
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment)
        ours = ("stapling OCSP", "redirects are disabled")  # of the test's certificate, and of its one port
        complaints = [
            line
            for line in told.stderr.splitlines()
            if re.search("warn|emerg", line, re.IGNORECASE) and not any(word in line for word in ours)
        ]
        return "\n".join(complaints if told.returncode == 0 else [told.stdout, told.stderr])

    def start(self) -> Self:
        """Start, and return once it listens."""
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.output
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not listen:\n{self.output}")

    def stop(self) -> None:
        """Kill it with all its workers."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class SecureWire(Wire):
    """The way through a proxy with TLS, from an address of this machine."""

    def __init__(self, proxy: ReverseProxy, address: str = "127.0.0.1") -> None:
        self.tls = ssl.create_default_context(cafile=str(proxy.chain))
        self._address = address
        self._sockets: list[socket.socket] = []
        self.url = proxy.url
        self.client = self._new()

    async def renew(self) -> None:
        await self.client.close()
        self.client = self._new()

    async def aclose(self) -> None:
        """Close, and wait for the ends of TLS, for which the client's own closing does not wait."""
        await super().aclose()
        async with asyncio.timeout(DEADLINE_S):
            while any(one.fileno() >= 0 for one in self._sockets):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)

    def _new(self) -> aiohttp.ClientSession:
        def made(info: AddrInfoType) -> socket.socket:
            self._sockets.append(socket.socket(*info[:3]))
            return self._sockets[-1]

        way = aiohttp.TCPConnector(ssl=self.tls, local_addr=(self._address, 0), socket_factory=made)
        return aiohttp.ClientSession(connector=way)


class SecurePeer(WebSocketPeer):
    """Frames over a WebSocket with TLS."""

    async def _connect(self, hello: Frame) -> None:
        wire = self.http.wire
        assert isinstance(wire, SecureWire)
        self.socket = await connect(
            wire.url.replace("https:", "wss:") + "/v1/ws",
            ssl=wire.tls,
            max_size=None,
            ping_interval=None,
            compression=None,
            open_timeout=DEADLINE_S,
        )
        await self.put(json.dumps(hello))
