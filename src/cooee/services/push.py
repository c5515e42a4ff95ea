"""Push subscriptions: each device says where it is pushed to, and nobody says it for another (PROTOCOL.md §19)."""

from collections.abc import Sequence

from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.digest import TITLE, collapse_key
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.ids import DeviceRef
from cooee.domain.push import WEB, PushSettings, check_token, check_web_keys
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification
from cooee.ports.push_targets import PushTarget, PushTargets
from cooee.protocol.push import PushTested, Subscribe
from cooee.services.push_lanes import PushLanes

PAGE = 1000
TEST_TEXT = "This is a test: notifications reach this device."
_TEST_TTL_S = 300


class PushService:
    """The use cases of push targets, and who has one: `wants` is asked for every receiver of every message."""

    def __init__(self, targets: PushTargets, lanes: PushLanes, clock: Clock, settings: PushSettings) -> None:
        self._targets = targets
        self._lanes = lanes
        self._clock = clock
        self._settings = settings
        self._rules = AddressRules(settings.allowed_networks)
        self._users: set[str] = set()

    def wants(self, user_id: str) -> bool:
        """Tell whether the user may have a device to push to."""
        return user_id in self._users

    async def start(self) -> None:
        """Learn who has a target.

        Raises:
            CooeeError: the store does not answer.
        """
        after = ""
        while True:
            users = await self._targets.users(after, PAGE)
            self._users.update(users)
            if len(users) < PAGE:
                return
            after = users[-1]

    async def put(self, device: DeviceRef, wanted: Subscribe) -> PushTarget:
        """Store where ``device`` is pushed to, in place of what it said before.

        Raises:
            CooeeError: ``bad_frame``, ``forbidden`` for a platform or an address that this server does not serve,
                ``not_found`` when the device is gone.
        """
        if wanted.platform not in self._lanes.platforms:
            raise CooeeError(ErrorCode.FORBIDDEN, f"this server does not push by {wanted.platform}")
        target = PushTarget(*device, wanted.platform, self._address(wanted), self._clock.wall_ms())
        self._users.add(device.user_id)
        await self._targets.put(target)
        return target

    async def get(self, device: DeviceRef) -> PushTarget:
        """Return where ``device`` is pushed to.

        Raises:
            CooeeError: ``not_found``.
        """
        target = await self._targets.find(device)
        if target is None:
            raise not_found("the push subscription")
        return target

    async def remove(self, device: DeviceRef) -> None:
        """End pushing to ``device``; when there is none, nothing happens."""
        target = await self._targets.find(device)
        if target is not None:
            await self._targets.remove(target)

    async def test(self, user_id: str) -> Sequence[PushTested]:
        """Send a test to every target of the user, now, past all rules of pace and quiet; tell what came of each."""
        tested = []
        for target in await self._targets.of_user(user_id):
            notification = PushNotification(
                target=target.address,
                title=TITLE,
                body=TEST_TEXT,
                collapse_key=collapse_key(user_id, "test"),
                ttl_s=_TEST_TTL_S,
            )
            outcome = await self._lanes.send(target, notification)
            told = f"{outcome.verdict.value}: {outcome.reason}" if outcome.reason else outcome.verdict.value
            tested.append(PushTested(target.device_id, target.platform, told))
        return tested

    def _address(self, wanted: Subscribe) -> dict[str, str]:
        if wanted.platform == WEB:
            if wanted.keys is None:
                raise bad_frame("a web subscription has keys")
            check_target(wanted.endpoint, self._rules, allow_http=self._settings.allow_http)
            check_web_keys(wanted.keys.p256dh, wanted.keys.auth)
            return {"endpoint": wanted.endpoint, "p256dh": wanted.keys.p256dh, "auth": wanted.keys.auth}
        check_token(wanted.platform, wanted.token)
        return {"token": wanted.token}
