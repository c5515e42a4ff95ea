"""Webhook requests with aiohttp: resolved by us, looked at, and connected to exactly what was looked at."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.errors import CooeeError
from cooee.domain.webhooks import WebhookSettings
from cooee.ports.webhook_sender import Answered, NotSent

Lookup = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host name. Blocks, in a thread of its own; may raise OSError."""

_NO_ADDRESS = "the host name has no address that webhooks may go to"
_MAX_HEADER = 8190


def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host name. Blocks."""
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class _Refused(OSError):
    """A host name without an address that may be used."""


class _CheckedResolver(AbstractResolver):
    """Returns addresses only when all of the name's are allowed: one that is not makes the whole name suspect."""

    def __init__(self, rules: AddressRules, lookup: Lookup, threads: ThreadPoolExecutor) -> None:
        self._rules = rules
        self._lookup = lookup
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve and look at every address; raises OSError."""
        try:
            addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
        except OSError:
            raise _Refused(_NO_ADDRESS) from None
        if not addresses or not all(map(self._rules.allows, addresses)):
            raise _Refused(_NO_ADDRESS)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        """Hold nothing."""


class HttpWebhookSender:
    """`WebhookSender`. Each request has a connection of its own, so each is resolved and looked at afresh.

    Names are looked up on threads that nothing else uses: whose name servers do not answer holds up no one else.
    """

    def __init__(self, settings: WebhookSettings, lookup: Lookup = look_up) -> None:
        self._settings = settings
        self._rules = AddressRules(settings.allowed_networks)
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(settings.in_flight, "webhook-names")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send one request and return what was answered; the answer's body is not read."""
        try:
            check_target(url, self._rules, allow_http=self._settings.allow_http)
        except CooeeError as refusal:  # the settings are stricter than when the webhook was made
            raise NotSent("address", refusal.message) from None
        try:
            response = await self._open().post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            )
        except TimeoutError:
            raise NotSent("timeout", "the receiver did not answer in time") from None
        except aiohttp.ClientConnectorCertificateError:
            raise NotSent("tls", "the receiver's certificate is not valid") from None
        except (aiohttp.ClientConnectorSSLError, ssl.SSLError):
            raise NotSent("tls", "the receiver speaks no TLS that this server takes") from None
        except aiohttp.ClientConnectorError as problem:
            if isinstance(problem.os_error, _Refused):
                raise NotSent("address", _NO_ADDRESS) from None
            raise NotSent("connect", "the receiver takes no connection") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotSent("broken", "the receiver broke off, or answered something that is not HTTP") from None
        response.close()
        return Answered(response.status, response.headers.get("Retry-After", "")[:64])

    async def aclose(self) -> None:
        """Break off what is on its way. Nothing is sent afterwards. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=_CheckedResolver(self._rules, self._lookup, self._threads),
                    use_dns_cache=False,
                    force_close=True,
                ),
                timeout=aiohttp.ClientTimeout(settings.timeout_s, sock_connect=settings.connect_timeout_s),
                headers={"user-agent": "Cooee", "content-type": "application/json"},
                skip_auto_headers=("accept", "accept-encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
            )
        return self._session
