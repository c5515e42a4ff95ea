"""Firebase Cloud Messaging by its HTTP v1 API, over HTTP/2."""

from typing import Any

import msgspec

from cooee.adapters.push import outcomes
from cooee.adapters.push.http2 import Http2, Reply, Unreached
from cooee.adapters.push.service_account import AccessTokens, NoToken, ServiceAccount
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict

MAX_PAYLOAD = 4000
"""Bytes of what the phone gets; the platform takes 4,096."""
DEFAULT_WAIT_S = 60.0
"""How long the platform asks to be left alone after a 429 that does not say."""
_HIGH = "high"


class _Detail(msgspec.Struct, frozen=True):
    error_code: str = msgspec.field(name="errorCode", default="")
    violations: list[dict[str, Any]] = msgspec.field(name="fieldViolations", default_factory=list)


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    details: list[_Detail] = []


class _Problem(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class FcmSender:
    """`PushSender` for Android, and for whatever else the Firebase project reaches. ``base``: without a final slash."""

    def __init__(self, account: ServiceAccount, http: Http2, clock: Clock, base: str) -> None:
        self._url = f"{base}/v1/projects/{account.project_id}/messages:send"
        self._http = http
        self._clock = clock
        self._tokens = AccessTokens(account, http, clock)

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Post the message; a token that is refused is renewed once."""
        body = fcm_message(notification)
        if body is None:
            return outcomes.failed(outcomes.TOO_LARGE)
        try:
            token = await self._tokens.get()
            reply = await self._post(token, body)
            if reply.status == 401:
                reply = await self._post(await self._tokens.get(refused=token), body)
        except NoToken as problem:
            return problem.outcome
        except Unreached as problem:
            return outcomes.later(problem.reason)
        return self._outcome(reply)

    async def aclose(self) -> None:
        """Break off what is on its way. Idempotent."""
        await self._tokens.aclose()
        await self._http.aclose()

    async def _post(self, token: str, body: bytes) -> Reply:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return await self._http.post(self._url, headers, body)

    def _outcome(self, reply: Reply) -> PushOutcome:
        outcome = outcomes.by_status(
            reply.status, reply.headers.get("retry-after", "")[:64], self._clock.wall_ms() / 1000
        )
        if outcome.verdict is PushVerdict.DELIVERED:
            return outcome
        if reply.status == 429 and not outcome.retry_after_s:
            return outcomes.later(outcome.reason, DEFAULT_WAIT_S)
        return outcomes.GONE if _is_gone(reply) else outcome


def _is_gone(reply: Reply) -> bool:
    """Tell whether the token is of no more use, by what the platform says; a 404 alone may be a wrong project."""
    try:
        error = msgspec.json.decode(reply.body, type=_Problem).error
    except msgspec.DecodeError:
        return False
    codes = {detail.error_code for detail in error.details}
    if "UNREGISTERED" in codes:
        return True
    fields = [violation.get("field") for detail in error.details for violation in detail.violations]
    return reply.status == 400 and fields == ["message.token"]


def fcm_message(notification: PushNotification) -> bytes | None:
    """Return the request's body (docs/push.md); None: it does not fit.

    Waking a phone at once (``HIGH``) is for what is shown; what clears is not worth it.
    """
    data = dict(notification.data)
    if notification.badge is not None:
        data["badge"] = str(notification.badge)
    android: dict[str, Any] = {
        "priority": "HIGH" if notification.urgency == _HIGH and not notification.silent else "NORMAL",
        "ttl": f"{notification.ttl_s}s",
        "collapse_key": notification.collapse_key,
    }

    def encode(body: str) -> bytes:
        message = {"token": notification.target.get("token", ""), "data": data, "android": android}
        if not notification.silent:
            count = {} if notification.badge is None else {"notification_count": notification.badge}
            shown = {"title": notification.title, "body": body}
            message |= {"notification": shown, "android": {**android, "notification": _tagged(notification, count)}}
        return msgspec.json.encode({"message": message})

    room = MAX_PAYLOAD + len(notification.target.get("token", ""))
    return outcomes.fitted(encode, notification.body, room)


def _tagged(notification: PushNotification, count: dict[str, int]) -> dict[str, Any]:
    return {"tag": notification.collapse_key, **count}
