"""How the suites append to the queues between devices."""

import asyncio
from collections.abc import Sequence

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.ports.to_device import ToDeviceMessage
from tests.contract.stores import Store

SENDER = DeviceRef("bob", "b1")
LIMITS = (10_000, 16 * 1024 * 1024)


async def append(
    store: Store,
    messages: Sequence[ToDeviceMessage],
    *,
    sender: DeviceRef = SENDER,
    client_message_id: str = "m1",
    limits: tuple[int, int] = LIMITS,
) -> list[ToDeviceMessage] | CooeeError:
    """Append a batch and return what ``done`` got, which is called exactly once."""
    results: asyncio.Queue[Sequence[ToDeviceMessage] | CooeeError] = asyncio.Queue()
    store.to_device.append(sender, client_message_id, messages, limits, results.put_nowait)
    result = await results.get()
    assert results.empty()
    return result if isinstance(result, CooeeError) else list(result)
