"""All platforms that a server is configured for: the web always, the others when they have their keys."""

import ssl
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from cooee.adapters.push.apns import PRODUCTION, ApnsIdentity, ApnsSender, read_apns_key
from cooee.adapters.push.fcm import FcmSender
from cooee.adapters.push.http2 import Http2
from cooee.adapters.push.service_account import ServiceAccount
from cooee.adapters.push.vapid import Vapid, load_vapid_key
from cooee.adapters.push.web import Ways, WebPushSender
from cooee.domain.push import APNS, FCM, WEB, PushSettings
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushSender


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's names and keys. ``vapid_key_file`` is made when it is not there; no other file: not that platform.

    URLs are without a path.
    """

    pace: PushSettings
    vapid_key_file: Path
    vapid_contact: str = ""
    fcm_service_account_file: str = ""
    fcm_url: str = "https://fcm.googleapis.com"
    apns_key_file: str = ""
    apns_key_id: str = ""
    apns_team_id: str = ""
    apns_topic: str = ""
    apns_url: str = PRODUCTION


class Platforms:
    """The senders by platform. ``web_key``: what browsers subscribe with, base64url."""

    def __init__(
        self,
        settings: PlatformSettings,
        ways: Ways,
        clock: Clock,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """Read the files, and connect to nobody yet. Blocks; ``trust`` makes each sender a context of TLS.

        Raises:
            OSError: a file cannot be read, or the server's key not be written.
            ValueError: a file does not hold what it should; the message names it.
        """
        pace = settings.pace
        vapid = Vapid(load_vapid_key(settings.vapid_key_file), settings.vapid_contact, clock)
        web = WebPushSender(vapid, pace, ways, clock, trust())
        self.web_key = vapid.public_key
        self._closing: list[WebPushSender | FcmSender | ApnsSender] = [web]
        senders: dict[str, PushSender] = {WEB: web}
        if settings.fcm_service_account_file:
            account = ServiceAccount.read(Path(settings.fcm_service_account_file))
            http = Http2(trust(), pace.timeout_s, http1=True)
            fcm = FcmSender(account, http, clock, settings.fcm_url)
            senders[FCM] = fcm
            self._closing.append(fcm)
        if settings.apns_key_file:
            identity = ApnsIdentity(
                read_apns_key(Path(settings.apns_key_file)),
                settings.apns_key_id,
                settings.apns_team_id,
                settings.apns_topic,
            )
            http = Http2(trust(), pace.timeout_s, http1=False)
            apns = ApnsSender(identity, http, clock, settings.apns_url)
            senders[APNS] = apns
            self._closing.append(apns)
        self.senders: Mapping[str, PushSender] = senders

    async def aclose(self) -> None:
        """Break off what is on its way. Idempotent."""
        for sender in self._closing:
            await sender.aclose()


def examine_platforms(settings: PlatformSettings) -> tuple[list[str], str]:
    """Return which platforms are set up, and what is wrong with a key, empty: nothing is. Blocks; makes nothing."""
    found = [WEB]
    files = [settings.vapid_key_file] if settings.vapid_key_file.exists() else []
    try:
        for file in files:
            load_vapid_key(file)
        if settings.fcm_service_account_file:
            found.append(FCM)
            files.append(Path(settings.fcm_service_account_file))
            ServiceAccount.read(files[-1])
        if settings.apns_key_file:
            found.append(APNS)
            files.append(Path(settings.apns_key_file))
            read_apns_key(files[-1])
        for file in files:
            if file.stat().st_mode & stat.S_IRWXO:
                return found, f"anybody on this machine may use {file}: chmod o= {file}"
    except OSError as problem:
        return found, f"{problem.filename}: {problem.strerror}"
    except ValueError as problem:
        return found, str(problem)
    return found, ""
