"""The operations of push subscriptions (PROTOCOL.md §19)."""

from cooee.client.calls import Calls
from cooee.protocol import push as bodies

_PATH = "/v1/push/subscription"


class PushApi(Calls):
    """Where the device whose token is used is pushed to."""

    async def push_subscription(self) -> bodies.Subscription:
        """Return where this device is pushed to; ``not_found`` when nowhere."""
        return await self._call("GET", _PATH, bodies.Subscription)

    async def vapid_key(self) -> str:
        """Return the key with which a browser subscribes (``applicationServerKey``), base64url."""
        return (await self._call("GET", "/v1/push/vapid-key", bodies.VapidKey)).public_key

    async def subscribe_web(self, endpoint: str, p256dh: str, auth: str) -> bodies.Subscription:
        """Have this device pushed to as a browser is (RFC 8030, RFC 8291); in place of what was said before."""
        body = bodies.Subscribe("web", endpoint, bodies.WebKeys(p256dh, auth))
        return await self._call("PUT", _PATH, bodies.Subscription, body)

    async def subscribe_token(self, platform: str, token: str) -> bodies.Subscription:
        """Have this device pushed to by ``fcm`` or ``apns``; in place of what was said before."""
        body = bodies.Subscribe("apns" if platform == "apns" else "fcm", token=token)
        return await self._call("PUT", _PATH, bodies.Subscription, body)

    async def unsubscribe(self) -> None:
        """End pushing to this device."""
        await self._do("DELETE", _PATH)
