"""The operations of end-to-end encryption (PROTOCOL.md §15): keys of devices, signed device lists, modes."""

from collections.abc import Iterable, Sequence
from typing import Literal

from cooee.client.calls import Calls, part
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys


class KeysApi(Calls):
    """What the device whose token is used publishes, and what it asks for of others."""

    async def publish_keys(self, published: keys.PublishKeys) -> keys.KeyStock:
        """Publish the device's keys, or what is new of them; ``conflict`` for another identity key than before."""
        return await self._call("PUT", "/v1/keys", keys.KeyStock, published)

    async def key_status(self) -> keys.KeyStatus:
        """Return what the server has of this device's keys."""
        return await self._call("GET", "/v1/keys/status", keys.KeyStatus)

    async def claim_keys(self, devices: Iterable[DeviceRef]) -> keys.Claimed:
        """Claim one bundle for each device, at most `keys.MAX_CLAIM`; each one-time key is given out once."""
        body = keys.ClaimKeys(tuple(keys.DeviceName(ref.user_id, ref.device_id) for ref in devices))
        return await self._call("POST", "/v1/keys/claim", keys.Claimed, body)

    async def put_device_list(
        self, user_id: str, signed: keys.SignedList, *, reset: bool = False, password: str = ""
    ) -> int:
        """Replace the own device list by the next version, which is returned.

        ``conflict``: it is not the next one; ``mismatched_devices``: a device has not published that key.
        """
        body = keys.PutDeviceList(signed.payload, signed.signature, reset, password)
        return (await self._call("PUT", _list_of(user_id), keys.ListVersion, body)).version

    async def device_list(self, user_id: str) -> keys.SignedList:
        """Return a user's newest device list; ``not_found`` when there is none."""
        return await self._call("GET", _list_of(user_id), keys.SignedList)

    async def device_lists(self, users: Iterable[tuple[str, int]]) -> Sequence[keys.UserDevices]:
        """Return the lists of at most `keys.MAX_LISTS` users, each given with the version that is known, or 0."""
        body = keys.AskLists(tuple(keys.AskedList(user_id, version) for user_id, version in users))
        return (await self._call("POST", "/v1/device-lists", keys.DeviceLists, body)).items

    async def set_encryption(self, conversation_id: str, mode: Literal["plain", "encrypted"]) -> keys.Encryption:
        """Say to all members how the conversation is written from now on."""
        path = f"/v1/conversations/{part(conversation_id)}/encryption"
        return await self._call("PUT", path, keys.Encryption, keys.SetEncryption(mode))


def _list_of(user_id: str) -> str:
    return f"/v1/users/{part(user_id)}/device-list"
