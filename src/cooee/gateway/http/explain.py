"""What a server that encrypts answers to plain HTTP from elsewhere, and the pages that help to trust it."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.gateway.http.errors import error_response
from cooee.gateway.http.lan_pages import TrustMaterial, explanation_page, mobileconfig, trust_page
from cooee.gateway.http.shell import Shell
from cooee.gateway.origins import Origins

HttpsUrl = Callable[[str], str]
"""Returns the https address, without a path, for one who reached the server at an address; empty when none is known.

Made from what the server knows of itself, never from what the client says (``Host``).
"""
_HEALTH = frozenset({"/healthz", "/readyz"})
_POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_PAGE = frozenset({"/trust", "/trust/"})
_READING = frozenset({"GET", "HEAD"})


class Explanation:
    """Answers health from ``app``, and everything else with the reason why plain HTTP does not do."""

    def __init__(self, app: ASGIApp, https_url: HttpsUrl, origins: Origins, *, trust: bool) -> None:
        self._app = app
        self._https_url = https_url
        self._trust = trust
        self._rest = Shell(self._explain, origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        health = scope["type"] == "http" and scope["path"] in _HEALTH and scope["method"] in _READING
        await (self._app if health else self._rest)(scope, receive, send)

    async def _explain(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = self._https_url(reached_at(scope))
        if "text/html" in Headers(scope=scope).get("accept", ""):
            page = explanation_page(url, trust=self._trust)
            answer = Response(page, 403, _POLICY, "text/html")
        else:
            answer = error_response(CooeeError(ErrorCode.HTTPS_REQUIRED, self._reason(url)))
        await answer(scope, receive, send)

    def _reason(self, url: str) -> str:
        where = f"; use {url}" if url else "; use its https:// address"
        trust = " with its own authority's certificate, which /trust/ca.pem has" if self._trust else ""
        return f"this server takes plain http from its own machine only{where}{trust}"


class TrustPages:
    """Answers ``/trust`` and what is below it; everything else is ``app``'s. Nothing is looked up by a path's parts."""

    def __init__(self, app: ASGIApp, material: TrustMaterial, https_url: HttpsUrl, origins: Origins) -> None:
        self._app = app
        self._own = Shell(self._serve, origins)
        self._material = material
        self._https_url = https_url
        profile = mobileconfig(material)
        self._files = {
            "/trust/ca.crt": (material.der, "application/x-x509-ca-cert", "cooee-ca.crt"),
            "/trust/ca.pem": (material.pem, "application/x-pem-file", "cooee-ca.pem"),
            "/trust/cooee.mobileconfig": (profile, "application/x-apple-aspen-config", "cooee.mobileconfig"),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        own = scope["type"] == "http" and scope["method"] in _READING
        own = own and (scope["path"] in _PAGE or scope["path"] in self._files)
        await (self._own if own else self._app)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _PAGE:
            answer = Response(self._page(scope), headers=_POLICY, media_type="text/html")
        else:
            content, kind, name = self._files[scope["path"]]
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            answer = Response(content, headers=headers, media_type=kind)
        await answer(scope, receive, send)

    def _page(self, scope: Scope) -> str:
        agent = Headers(scope=scope).get("user-agent", "")
        url = self._https_url(reached_at(scope))
        return trust_page(self._material, url, agent, encrypted=scope["scheme"] == "https")


def reached_at(scope: Scope) -> str:
    """Return this machine's address that the connection came to."""
    return str((scope.get("server") or ("",))[0])
