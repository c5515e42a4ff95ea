"""Routes of push subscriptions: a device's own, and no other's (PROTOCOL.md §19)."""

from cooee.domain.errors import ErrorCode
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.ports.push_targets import PushTarget
from cooee.protocol import push

_Call = Call[HttpServices]


def as_subscription(target: PushTarget) -> push.Subscription:
    """Return a target as its device sees it; the keys of the web are left out."""
    address = target.address
    return push.Subscription(target.platform, address.get("endpoint", ""), address.get("token", ""), target.created_at)


async def put_push_subscription(call: _Call) -> push.Subscription:
    """Say where this device is pushed to."""
    return as_subscription(await call.services.push.put(call.caller, call.body))


async def get_push_subscription(call: _Call) -> push.Subscription:
    """Return where this device is pushed to."""
    return as_subscription(await call.services.push.get(call.caller))


async def delete_push_subscription(call: _Call) -> None:
    """End pushing to this device."""
    await call.services.push.remove(call.caller)


async def get_vapid_key(call: _Call) -> push.VapidKey:
    """Return what a browser subscribes with."""
    return push.VapidKey(call.services.web_push_key)


_PATH = "/v1/push/subscription"

ROUTES: tuple[Route, ...] = (
    Route(
        method="PUT",
        path=_PATH,
        endpoint=put_push_subscription,
        summary="Say where this device is pushed to: what a browser's PushSubscription gives, or a platform's token.",
        tag="push",
        request=push.Subscribe,
        response=push.Subscription,
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=_PATH,
        endpoint=get_push_subscription,
        summary="Where this device is pushed to.",
        tag="push",
        response=push.Subscription,
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="DELETE",
        path=_PATH,
        endpoint=delete_push_subscription,
        summary="End pushing to this device.",
        tag="push",
        status=204,
    ),
    Route(
        method="GET",
        path="/v1/push/vapid-key",
        endpoint=get_vapid_key,
        summary="The public key with which a browser subscribes (VAPID, RFC 8292).",
        tag="push",
        response=push.VapidKey,
    ),
)
