"""Keeps a certificate in force: reads it anew when its files change, and never gives a sound one for a broken one."""

import ssl
from collections.abc import Callable

import structlog

from cooee.app.tls.pair import CertificateFailed, Loaded, Pair, load, open_to_others, stamp

_log = structlog.get_logger(__name__)
SOON_S = 14 * 86_400
"""A certificate that expires sooner is warned of."""


def _nothing() -> None:
    """Renew nothing: the files are somebody else's."""


class CertificateKeeper:
    """The certificate in force. ``renew`` may write new files before each look; what it raises is logged."""

    def __init__(self, pair: Pair, renew: Callable[[], None] = _nothing) -> None:
        """Load the pair.

        Raises:
            CertificateFailed: it cannot be used.
        """
        self.pair = pair
        self._renew = renew
        renew()
        self._seen = stamp(pair)
        self._loaded = load(pair)
        self._told = ""
        self._warn()

    @property
    def loaded(self) -> Loaded:
        """The pair in force."""
        return self._loaded

    def context(self) -> ssl.SSLContext:
        """Return what a new connection is encrypted with."""
        return self._loaded.context

    def look(self, *, anyway: bool = False) -> bool:
        """Read the files if they have changed, or ``anyway``; tell whether another pair is in force. Blocks, briefly.

        A pair that cannot be used is logged and changes nothing; it is tried again when the files change again.
        """
        try:
            self._renew()
        except CertificateFailed as problem:
            self._say_once("the certificate could not be renewed", str(problem))
        except Exception as problem:  # noqa: BLE001  # whatever it is, the certificate in force is watched on
            self._say_once("the certificate could not be renewed", type(problem).__name__)
        now = stamp(self.pair)
        if now == self._seen and not anyway:
            self._warn_of_expiry()
            return False
        self._seen = now
        try:
            self._loaded = load(self.pair)
        except CertificateFailed as problem:
            _log.warning("the new certificate cannot be used; the old one stays in force", problem=str(problem))
            return False
        names, expires = sorted(self._loaded.names), str(self._loaded.expires)
        _log.info("another certificate is in force", names=names, expires=expires)
        self._told = ""
        self._warn()
        return True

    def _warn(self) -> None:
        for wrong in open_to_others(self.pair):
            _log.warning("the key of the certificate is not private", problem=wrong, do=f"chmod 600 {self.pair.key}")
        self._warn_of_expiry()

    def _warn_of_expiry(self) -> None:
        if self._loaded.seconds_left() < SOON_S:
            self._say_once("the certificate expires soon, or has", str(self._loaded.expires))

    def _say_once(self, what: str, problem: str) -> None:
        if self._told != what + problem:
            self._told = what + problem
            _log.warning(what, problem=problem)
