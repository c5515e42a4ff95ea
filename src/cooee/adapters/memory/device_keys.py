"""Keys of devices and signed device lists in dictionaries."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.device_keys import (
    CurrentDevices,
    DeviceList,
    KeyBundle,
    KeyState,
    Publication,
    add_keys,
    check_published,
    is_next,
)


class _Stock:
    """The keys of one device."""

    def __init__(self, state: KeyState) -> None:
        self.state = state
        self.pre_keys: dict[int, bytes] = {}
        self.kem_keys: dict[int, bytes] = {}

    def now(self) -> KeyState:
        return msgspec.structs.replace(self.state, pre_keys=len(self.pre_keys), kem_keys=len(self.kem_keys))


class MemoryDeviceKeys:
    """`DeviceKeys` that a restart forgets. ``is_there`` tells whether a device exists."""

    def __init__(self, is_there: Callable[[DeviceRef], bool]) -> None:
        self._is_there = is_there
        self._stocks: dict[DeviceRef, _Stock] = {}
        self._lists: dict[str, DeviceList] = {}

    async def publish(self, device: DeviceRef, published: Publication, limit: int) -> KeyState:
        """Store what is new, all or nothing; return what is kept then."""
        if not self._is_there(device):
            raise not_found("the device")
        stock = self._stocks.get(device)
        after = add_keys(None if stock is None else stock.now(), published, limit)
        stock = self._stocks.setdefault(device, _Stock(after.state))
        stock.state = after.state
        stock.pre_keys.update(after.pre_keys)
        stock.kem_keys.update(after.kem_keys)
        return stock.now()

    async def state(self, device: DeviceRef) -> KeyState | None:
        """Return what is kept of the device; None: nothing."""
        stock = self._stocks.get(device)
        return None if stock is None else stock.now()

    async def claim(self, devices: Mapping[DeviceRef, bool]) -> Sequence[KeyBundle]:
        """Return a bundle for each device that has keys, in order. Each one-time key is given out once."""
        bundles = []
        for device, once in devices.items():
            stock = self._stocks.get(device)
            if stock is not None:
                pre_key = _take(stock.pre_keys) if once else None
                kem_key = _take(stock.kem_keys) if once else None
                state = stock.state
                given = (kem_key or state.last_resort, kem_key is None, pre_key)
                bundles.append(KeyBundle(device, state.identity, state.signed, *given))
        return bundles

    async def put_list(self, wanted: DeviceList, *, reset: bool = False) -> DeviceList | None:
        """Store a list that follows the one in force; return the one in force afterwards."""
        before = self._lists.get(wanted.user_id)
        if before is not None and before.payload == wanted.payload:
            return before
        if not is_next(before, wanted, reset=reset):
            return before
        check_published(wanted, self._published(wanted.user_id))
        self._lists[wanted.user_id] = wanted
        return wanted

    async def current(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices]:
        """Return the newest lists of those users who have one."""
        found = {}
        for each in (self._lists[user_id] for user_id in user_ids if user_id in self._lists):
            published = self._published(each.user_id)
            ours = {name: key for name, key in each.devices.items() if published.get(name) == key}
            found[each.user_id] = CurrentDevices(each, ours)
        return found

    def forget_devices(self, gone: Sequence[DeviceRef]) -> None:
        """Drop the keys of revoked devices."""
        for ref in gone:
            self._stocks.pop(ref, None)

    def forget_user(self, user_id: str) -> None:
        """Drop the list of a deleted account."""
        self._lists.pop(user_id, None)

    def _published(self, user_id: str) -> dict[str, str]:
        return {ref.device_id: each.state.identity for ref, each in self._stocks.items() if ref.user_id == user_id}


def _take(keys: dict[int, bytes]) -> bytes | None:
    return keys.pop(min(keys)) if keys else None
