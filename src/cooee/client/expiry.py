"""Disappearing messages: what has expired is deleted here for good, with its key, while the client is open."""

import asyncio
from contextlib import suppress

from cooee.client.errors import StoreError
from cooee.client.events import ConversationUpdated, MessageDeleted
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.turn import Turn

AT_ONCE = 200
"""Messages that are erased in one transaction."""
_PAUSE_S = 1.0
_LONGEST_S = 60.0
"""The wall clock may be set, so it is looked at now and then, however far the next message is."""


class Expiry:
    """Erases what has expired by the wall clock, a second late at most; what expired meanwhile, at the start."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def sweep(self, now_ms: int) -> int:
        """Erase all that has expired by ``now_ms`` (since the Unix epoch), tell of it, and return how many it was.

        Raises:
            StoreError: the rest stays, to be erased by the next call.
        """
        store = self._ledger.store
        count = 0
        while places := await self._ledger.run(store.expired, now_ms, AT_ONCE):
            await self._erase(places)
            count += len(places)
        return count

    async def _erase(self, places: list[tuple[str, int]]) -> None:
        def fill(turn: Turn) -> None:
            turn.erased += places
            turn.events += [MessageDeleted(*place, "") for place in places]
            if turn.agent is not None:
                for place in places:
                    turn.draft.forget(*place)

        await self._ledger.step(fill)
        touched = [self._ledger.state.find(conversation_id) for conversation_id in dict(places)]
        for view in await self._ledger.views(one for one in touched if one is not None):
            self._ledger.emit(ConversationUpdated(view))

    async def keep_sweeping(self) -> None:
        """Erase what expires as it does; runs until it is cancelled."""
        while True:
            changed = self._ledger.next_change()
            wait_s = _LONGEST_S
            with suppress(StoreError):
                await self.sweep(wall_ms())
                due = await self._ledger.run(self._ledger.store.next_expiry)
                if due is not None:
                    wait_s = min(max(due - wall_ms(), 0) / 1000, _LONGEST_S)
            await asyncio.sleep(min(wait_s, _PAUSE_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s - _PAUSE_S, 0)):  # `wait_for` may swallow what cancels this
                    await changed.wait()
