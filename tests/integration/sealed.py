"""People whose devices have keys and stand in signed lists, on a running server, by the raw protocol."""

from typing import Any

from tests.fakes.device_keys import AccountKey, publication
from tests.integration.peers import Frame, Http
from tests.integration.scene import Person, Scene


class Sealed:
    """A person with linked devices: their APIs by deviceId, in the order in which they came."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.user_id = person.user_id
        self.devices: dict[str, Http] = {}
        self.version = 0

    @property
    def first(self) -> str:
        """The deviceId of the first device."""
        return next(iter(self.devices))

    async def device(self, *, linked: bool = True, keys: bool = True) -> str:
        """Log in another device (first the person's own one), and publish and link it unless told otherwise."""
        http = self.person.http if not self.devices else await self.person.log_in()
        device_id = self.person.device_id
        self.devices[device_id] = http
        if keys:
            await http("PUT", "/v1/keys", publication(device_id))
        if linked:
            await self.link(*self.devices)
        return device_id

    def signed(self, *device_ids: str, **fields: Any) -> Frame:
        """Return the next list, signed."""
        return AccountKey(self.user_id).list(self.user_id, self.version + 1, *device_ids, **fields)

    async def link(self, *device_ids: str) -> None:
        """Sign and put the next list."""
        await self.person.http("PUT", self.path, self.signed(*device_ids))
        self.version += 1

    @property
    def path(self) -> str:
        """Where the list is."""
        return f"/v1/users/{self.user_id}/device-list"

    def envelopes(self, *but: str) -> list[Frame]:
        """Return an envelope for each device, those in ``but`` excepted; its content names the device."""
        return [envelope(self.user_id, device_id) for device_id in self.devices if device_id not in but]


def envelope(user_id: str, device_id: str) -> Frame:
    """Return an envelope whose content names its device."""
    return {"userId": user_id, "deviceId": device_id, "content": mark(device_id)}


def mark(device_id: str) -> str:
    """Return what stands in the envelope of a device: base64url of no odd length."""
    return device_id + "A" * (-len(device_id) % 4)


async def sealed(scene: Scene, name: str, devices: int = 1) -> Sealed:
    """Register a person with linked devices."""
    found = Sealed(await scene.person(name))
    for _ in range(devices):
        await found.device()
    return found


def to_chat(one: Sealed, other: Sealed, envelopes: list[Frame], **fields: Any) -> Frame:
    """Return the fields of an encrypted message to a direct chat."""
    conversation_id = "dm:{}:{}".format(*sorted([one.user_id, other.user_id]))
    return {
        "conversationId": conversation_id,
        "contentType": "encrypted",
        "content": "AVyk0pWZ",
        "envelopes": envelopes,
    } | fields
