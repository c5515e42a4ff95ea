"""What a server needs to encrypt: the certificate in force, and what clients are told who came without."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp

from cooee.app.config import ServerConfig
from cooee.app.tls.authority import certificate_pem, fingerprint
from cooee.app.tls.keeper import CertificateKeeper
from cooee.app.tls.lan import LocalNetwork
from cooee.app.tls.pair import Pair
from cooee.gateway.encryption import Encryption, is_this_machine
from cooee.gateway.http.explain import Explanation, TrustPages
from cooee.gateway.http.lan_pages import TrustMaterial
from cooee.gateway.origins import Origins

_HTTPS = 443


class Tls:
    """How one server encrypts: with the operator's certificate, or with that of the local network (``lan``)."""

    def __init__(self, server: ServerConfig) -> None:
        """Load the certificate, or make it.

        Raises:
            CertificateFailed: it cannot be used or made.
        """
        self._server = server
        self.lan = LocalNetwork(Path(server.data_dir)) if server.lan else None
        if self.lan is not None:
            self.keeper = CertificateKeeper(self.lan.pair, self.lan.renew)
        else:
            self.keeper = CertificateKeeper(Pair(Path(server.tls_cert), Path(server.tls_key)))
        self.port = server.port
        """The port for TLS, once the server listens."""

    @property
    def host(self) -> str:
        """Where to listen: on the local network everywhere, unless an address of it is named."""
        host = self._server.host
        return "" if self.lan is not None and (host == "localhost" or is_this_machine(host)) else host

    @property
    def is_plain_here(self) -> bool:
        """Whether programs on this machine may as well come unencrypted, by a loopback address."""
        return self.lan is not None and not self.host

    def app(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with the pages that help to trust the local network's authority, if there is one."""
        material = self.material()
        if material is None:
            return app
        return TrustPages(app, material, self.https_url, self._origins())

    def encryption(self, app: ASGIApp) -> Encryption:
        """Return what the front server is to encrypt with. ``app`` is the public API, which answers health."""
        explain = Explanation(app, self.https_url, self._origins(), trust=self.lan is not None)
        return Encryption(self.keeper.context, self.app(explain), self._server.lan_port if self._server.lan else None)

    def material(self) -> TrustMaterial | None:
        """Return what devices of the local network are to trust; None where the certificate is the operator's."""
        if self.lan is None:
            return None
        authority = self.lan.authority
        name = str(authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        der = authority.public_bytes(serialization.Encoding.DER)
        return TrustMaterial(name, der, certificate_pem(authority), fingerprint(authority))

    def https_url(self, reached: str) -> str:
        """Return the https address for one who reached the server at ``reached``; empty if none is known."""
        if self._server.public_url.startswith("https:"):
            return self._server.public_url.rstrip("/")
        if self.lan is not None:
            known = [str(address) for address in self.lan.addresses]
            hosts = [reached] if reached in known else known or ["localhost"]
        else:
            named = [name for name in self.keeper.loaded.names if not name.startswith("*")]
            hosts = sorted(named, key=lambda name: (":" in name or name.rpartition(".")[2].isdigit(), name))
        return url_of("https", hosts[0], self.port) if hosts else ""

    def _origins(self) -> Origins:
        return Origins(self._server.public_url, self._server.allowed_origins)


def url_of(scheme: str, host: str, port: int) -> str:
    """Return a URL without a path; the port is left out where it is the scheme's own."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == (_HTTPS if scheme == "https" else 80) else f"{scheme}://{shown}:{port}"


def tls_of(server: ServerConfig) -> Tls | None:
    """Return how a server of this configuration encrypts, None when it does not.

    Raises:
        CertificateFailed: it is to encrypt, and the certificate cannot be used or made.
    """
    return Tls(server) if server.lan or server.tls_cert else None
