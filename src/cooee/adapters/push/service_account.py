"""Google's service accounts: a key in a file becomes a token for an hour (RFC 7523, OAuth 2.0 JWT bearer)."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cooee.adapters.push import outcomes
from cooee.adapters.push.http2 import Http2, Unreached
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushOutcome, PushVerdict

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_VALID_S = 3600
_EARLY_S = 300
"""A token is renewed so long before it ends, at the latest at half its life."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class ServiceAccountUnusable(ValueError):
    """The file is not the JSON of a service account's key; the message says what is wrong."""


class ServiceAccount(msgspec.Struct, frozen=True):
    """What the file holds, as far as it is used."""

    project_id: _Text
    private_key_id: _Text
    private_key: _Text
    client_email: _Text
    token_uri: _Text

    @classmethod
    def read(cls, path: Path) -> "ServiceAccount":
        """Read the file. Blocks; raises OSError.

        Raises:
            ServiceAccountUnusable: it is something else.
        """
        try:
            account = msgspec.json.decode(path.read_bytes(), type=cls)
            account.key()
        except (msgspec.DecodeError, ValueError, TypeError) as problem:
            raise ServiceAccountUnusable(f"{path} is no key of a service account: {problem}") from None
        return account

    def key(self) -> rsa.RSAPrivateKey:
        """Return the private key; raises ValueError or TypeError when it is none of RSA."""
        key = load_pem_private_key(self.private_key.encode(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("its private_key is not of RSA")
        return key


class NoToken(Exception):
    """No token was given. ``outcome``: what that means for the notification."""

    def __init__(self, outcome: PushOutcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _Granted(msgspec.Struct, frozen=True):
    access_token: _Text
    expires_in: int = _VALID_S


class AccessTokens:
    """The current token: fetched once for all who wait for it, and renewed before it ends."""

    def __init__(self, account: ServiceAccount, http: Http2, clock: Clock) -> None:
        self._account = account
        self._key = account.key()
        self._http = http
        self._clock = clock
        self._token = ""
        self._until = 0.0
        self._fetching: asyncio.Task[str] | None = None

    async def get(self, refused: str = "") -> str:
        """Return a token that is not ``refused``.

        Raises:
            NoToken: none was given.
        """
        if self._token and self._token != refused and self._clock.monotonic() < self._until:
            return self._token
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    async def aclose(self) -> None:
        """Break off fetching."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _fetched(self, task: asyncio.Task[str]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # whoever waited was told; nobody may have

    async def _fetch(self) -> str:
        body = urlencode({"grant_type": _GRANT, "assertion": self._assertion()}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        began = self._clock.monotonic()
        try:
            reply = await self._http.post(self._account.token_uri, headers, body)
        except Unreached as problem:
            raise NoToken(outcomes.later(problem.reason)) from None
        if reply.status != 200:
            outcome = outcomes.by_status(
                reply.status, reply.headers.get("retry-after", ""), self._clock.wall_ms() / 1000
            )
            retried = outcome.verdict is PushVerdict.RETRY
            raise NoToken(outcome if retried else outcomes.failed(outcomes.CREDENTIALS))
        try:
            granted = msgspec.json.decode(reply.body, type=_Granted)
        except msgspec.DecodeError:
            raise NoToken(outcomes.later(outcomes.FAILING)) from None
        self._token = granted.access_token
        self._until = began + max(granted.expires_in - _EARLY_S, granted.expires_in / 2)
        return self._token

    def _assertion(self) -> str:
        now = self._clock.wall_ms() // 1000
        account = self._account
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": now,
            "exp": now + _VALID_S,
        }
        return jwt.encode(claims, self._key, "RS256", {"kid": account.private_key_id})
