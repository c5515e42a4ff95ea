"""Webhook requests with aiohttp: resolved by us, looked at, and connected to exactly what was looked at."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from cooee.adapters.http.bounded_connector import BoundedConnector
from cooee.adapters.http.checked_resolver import AddressRefused, CheckedResolver, Lookup, look_up
from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.errors import CooeeError
from cooee.domain.webhooks import WebhookSettings
from cooee.ports.webhook_sender import Answered, NotSent

_NO_ADDRESS = "the host name has no address that webhooks may go to"
_MAX_HEADER = 8190


class HttpWebhookSender:
    """`WebhookSender`. Each request has a connection of its own, so each is resolved and looked at afresh."""

    def __init__(self, settings: WebhookSettings, lookup: Lookup = look_up) -> None:
        self._settings = settings
        self._rules = AddressRules(settings.allowed_networks)
        self._resolver = CheckedResolver(self._rules, lookup, settings.in_flight, "webhook-names")
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
            if isinstance(problem.os_error, AddressRefused):
                raise NotSent("address", _NO_ADDRESS) from None
            raise NotSent("connect", "the receiver takes no connection") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotSent("broken", "the receiver broke off, or answered something that is not HTTP") from None
        response.close()
        return Answered(response.status, response.headers.get("Retry-After", "")[:64])

    async def aclose(self) -> None:
        """Break off what is on its way. Nothing is sent afterwards. Idempotent."""
        await self._resolver.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                connector=BoundedConnector(
                    limit=0,
                    resolver=self._resolver,
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
