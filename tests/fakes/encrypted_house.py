"""A server's services over the memory adapters, with people whose devices are linked and have keys."""

from itertools import count
from typing import Any

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.ports.accounts import Account, AccountKind
from cooee.protocol import frames, keys
from tests.fakes.device_keys import AccountKey, publication
from tests.fakes.memory_house import MemoryHouse

Names = dict[str, str]
"""A device as refusals name it."""


class EncryptedHouse(MemoryHouse):
    """People are called by name; their devices are ``d1`` …, their account keys follow from their names."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._ids = count(1)
        self._versions: dict[str, int] = {}

    async def publish(self, device: DeviceRef, pre: int = 3, kem: int = 2) -> None:
        """Let a device publish its keys."""
        body = publication(device.device_id, range(1, pre + 1), range(1, kem + 1))
        await self.house.keys.publish(device, msgspec.convert(body, keys.PublishKeys))

    async def put_list(self, user_id: str, *devices: str, by: str = "d1") -> int:
        """Sign and put the user's next list."""
        version = self._versions[user_id] = self._versions.get(user_id, 0) + 1
        signed = AccountKey(user_id).list(user_id, version, *devices)
        wanted = msgspec.convert(signed, keys.PutDeviceList)
        return await self.house.keys.put_list(DeviceRef(user_id, by), user_id, wanted)

    async def linked(self, user_id: str, devices: int = 1, unlinked: int = 0, **account: Any) -> DeviceRef:
        """Make an account with devices that are listed and have keys, and some that are not and have none."""
        first = await self.user(user_id, devices=devices + unlinked, **account)
        names = [f"d{number}" for number in range(1, devices + 1)]
        for name in names:
            await self.publish(DeviceRef(user_id, name))
        await self.put_list(user_id, *names)
        return first

    async def bot(self, bot_id: str) -> None:
        """Make a bot's account."""
        await self.store.accounts.create(Account(bot_id, bot_id, "", 1, kind=AccountKind.BOT))

    def frame(self, conversation_id: str, **fields: Any) -> frames.Send:
        """Return an encrypted message with a fresh clientMessageId."""
        name = fields.pop("name", f"m{next(self._ids)}")
        return frames.Send(name, "encrypted", msgspec.Raw(b'"AVyk0pWZ"'), conversation_id, **fields)

    def direct(self, one: str, other: str, *devices: tuple[str, str], **fields: Any) -> frames.Send:
        """Return an encrypted message to a direct chat with envelopes for these devices."""
        envelopes = tuple(frames.WireEnvelope(user_id, name, "AQID") for user_id, name in devices)
        return self.frame(direct_conversation_id(one, other), envelopes=envelopes, **fields)

    async def tell(self, sender: DeviceRef, frame: frames.Send) -> frames.Ack:
        """Send, and return the ack."""
        return await self.house.messages.send_and_wait(sender, frame)

    async def refusal(self, sender: DeviceRef, frame: frames.Send) -> CooeeError:
        """Send what is refused, and return the refusal."""
        try:
            ack = await self.tell(sender, frame)
        except CooeeError as refusal:
            return refusal
        raise AssertionError(f"it was taken: {ack}")

    async def mismatch(self, sender: DeviceRef, frame: frames.Send) -> tuple[set[str], set[str]]:
        """Send what is not for the right devices; return the missing and the extra ones as ``user/device``."""
        refusal = await self.refusal(sender, frame)
        assert refusal.code is ErrorCode.MISMATCHED_DEVICES, refusal.message
        return _names(refusal.extra.get("missing", ())), _names(refusal.extra.get("extra", ()))


def _names(devices: tuple[Names, ...]) -> set[str]:
    return {f"{each['userId']}/{each['deviceId']}" for each in devices}
