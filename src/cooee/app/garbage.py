"""The garbage collector, kept away from what lives long: a collection looks only at what is new.

A full collection stops everything for half a microsecond an object: 12 ms with 19,000 connections, and more for what
the libraries keep. Almost everything here goes by reference counts; cycles are rare, and can wait for a minute.
"""

import asyncio
import gc

NEW_OBJECTS = 50_000
"""Containers made and not ended since the last look at the youngest ones; so many is some milliseconds of looking."""
YOUNG_LOOKS = 20
SET_ASIDE_S = 60.0
"""How often what has stayed is set aside."""
WHOLE_EVERY = 60
"""Once in so many times, what was set aside is looked at too."""


class GarbageCollection:
    """Sets aside what has stayed, now and then, after one look at whether it is garbage."""

    def __init__(self) -> None:
        self._times = 0

    def begin(self) -> None:
        """Set aside what the start has made: modules, classes, settings."""
        gc.set_threshold(NEW_OBJECTS, YOUNG_LOOKS, YOUNG_LOOKS)
        gc.collect()
        gc.freeze()

    def set_aside(self) -> None:
        """Collect what is new, and set the rest of it aside."""
        self._times += 1
        if self._times % WHOLE_EVERY == 0:
            gc.unfreeze()
        gc.collect()
        gc.freeze()

    async def run(self) -> None:
        """Do so every `SET_ASIDE_S`, until cancelled."""
        while True:
            await asyncio.sleep(SET_ASIDE_S)
            self.set_aside()
