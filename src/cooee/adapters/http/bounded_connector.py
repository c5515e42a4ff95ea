"""Connections to receivers that users chose: answers that never come to their point end."""

from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_INTERIM = 16
"""Interim answers (1xx) before the final one; RFC 9110 §15.2 has no bound, and no receiver has a use for many."""


class _Bounded(ResponseHandler):
    """Breaks off where interim answers go on: each costs the event loop time, and none of them ends the request."""

    _interim = 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        if self._interim <= MAX_INTERIM:
            self._interim = self._interim + 1 if 100 <= data[0].code < 200 else 0
        if self._interim <= MAX_INTERIM:
            super().feed_data(data, size)
        elif self.transport is not None:
            self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """`aiohttp.TCPConnector` that breaks off when more than `MAX_INTERIM` interim answers come for one request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Bounded, loop=self._loop))
