"""Routing within one process, used by the embedded profile for real."""

import asyncio
from collections.abc import Callable, Sequence

from cooee.ports.router import Routed


class MemoryRouter:
    """`Router` by a direct call: what is published is delivered before `publish` returns."""

    __slots__ = ("_receivers",)

    def __init__(self) -> None:
        self._receivers: dict[str, Callable[[Sequence[Routed]], None]] = {}

    async def publish(self, server_id: str, items: Sequence[Routed]) -> bool:
        """Hand the items to a gateway; False when nobody listens there.

        A receiver that raises is reported to the event loop's exception handler and not to the publisher.
        """
        receive = self._receivers.get(server_id)
        if receive is None:
            return False
        try:
            receive(items)
        except Exception as error:  # noqa: BLE001 - a broken gateway must not stop the fan-out of others
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a router's receiver failed", "exception": error}
            )
        return True

    async def subscribe(self, server_id: str, receive: Callable[[Sequence[Routed]], None]) -> None:
        """Have ``receive`` called on the event loop with what is published to ``server_id``."""
        self._receivers[server_id] = receive

    async def unsubscribe(self, server_id: str) -> None:
        """Stop listening."""
        self._receivers.pop(server_id, None)
