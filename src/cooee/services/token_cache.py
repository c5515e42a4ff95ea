"""Tokens that were good a moment ago, so that not every request asks the store."""

from collections import OrderedDict
from collections.abc import Collection

from cooee.ports.clock import Clock
from cooee.ports.devices import Device


class TokenCache:
    """Devices by token hash, each believed for ``seconds``; the least recently entered go first beyond ``capacity``.

    ``revision`` grows with each `forget`: what was read from the store before it must not be entered after it.
    """

    def __init__(self, clock: Clock, seconds: float, capacity: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._capacity = capacity
        self._devices: OrderedDict[bytes, tuple[Device, float]] = OrderedDict()
        self.revision = 0

    def __len__(self) -> int:
        """Return how many tokens are held."""
        return len(self._devices)

    def find(self, token_hash: bytes) -> Device | None:
        """Return the device, if it is still believed."""
        known = self._devices.get(token_hash)
        return known[0] if known is not None and known[1] > self._clock.monotonic() else None

    def enter(self, device: Device, revision: int) -> None:
        """Remember what the store said when ``revision`` was the present one."""
        if revision != self.revision:
            return
        self._devices[device.token_hash] = (device, self._clock.monotonic() + self._seconds)
        self._devices.move_to_end(device.token_hash)
        if len(self._devices) > self._capacity:
            self._devices.popitem(last=False)

    def tend(self) -> None:
        """Drop what is believed no longer; run now and then, so that idle connections keep nothing here."""
        now = self._clock.monotonic()
        while self._devices:
            token_hash, (_, until) = next(iter(self._devices.items()))
            if until > now:
                return
            del self._devices[token_hash]

    def forget(self, user_ids: Collection[str]) -> None:
        """Drop the tokens of these users. Looks at all."""
        self.revision += 1
        for token_hash in [key for key, (device, _) in self._devices.items() if device.user_id in user_ids]:
            del self._devices[token_hash]
