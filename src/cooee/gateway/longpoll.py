"""All long-polling sessions of a gateway: opened by a hello, found by their id, ended by silence (PROTOCOL.md §12)."""

import hmac
import secrets
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import msgspec

from cooee.domain.errors import bad_frame, not_found, rate_limited, unavailable
from cooee.domain.ids import DeviceRef
from cooee.domain.ratelimit import address_key
from cooee.gateway.connection import Receiver
from cooee.gateway.poll_connection import PollConnection
from cooee.gateway.shared import Shared
from cooee.gateway.wheel import Wheel
from cooee.protocol import frames
from cooee.protocol.codec import RejectedFrame, decode_client, encode
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollRequest, PollResponse

Key = TypeVar("Key")

OPEN_WAIT_S = 10.0
"""How long the first answer waits for the welcome."""


class PollBounds(msgspec.Struct, frozen=True):
    """How many sessions are kept at once, ended ones that the client has not yet heard of included."""

    per_device: int = 4
    per_user: int = 64
    per_address: int = 4096
    total: int = 50_000


class LongPolls:
    """The sessions by id. An id is unguessable, and worth nothing without the token of its device."""

    def __init__(
        self, shared: Shared, new_session: Callable[[PollConnection], Receiver], bounds: PollBounds | None = None
    ) -> None:
        self._shared = shared
        self._new_session = new_session
        self._bounds = bounds or PollBounds()
        self._connections: dict[str, PollConnection] = {}
        self._by_device: Counter[DeviceRef] = Counter()
        self._by_user: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self.lapses: Wheel[PollConnection] = Wheel(shared.now, self._lapse)

    async def poll(self, request: PollRequest, token: str, peer: str) -> PollResponse:
        """Serve one `POST /v1/poll`. May take ``waitMs``, at most ``limits.poll_wait_ms``.

        Raises:
            CooeeError: ``unauthorized``; ``not_found`` for a session that has lapsed or is another device's: start
                again with hello; ``conflict`` for a request out of turn; ``bad_frame``; ``rate_limited`` for too many
                sessions; ``unavailable`` while draining.
        """
        device = (await self._shared.services.devices.authenticate(token)).ref
        wait_s = min(request.wait_ms, self._shared.limits.poll_wait_ms) / 1000
        if not request.session:
            connection, request = self._open(request, token, device, peer)
            wait_s = OPEN_WAIT_S
        else:
            found = self._connections.get(request.session)
            if found is None or found.device != device:
                raise not_found("the polling session")
            connection = found
        connection.polled_at = self._shared.now
        try:
            response = await connection.exchange(request, wait_s)
        finally:
            connection.polled_at = self._shared.now
        return response

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return len(self._connections)

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Close what is still open, so that every waiting poll is answered."""
        for connection in tuple(self._connections.values()):
            connection.close(code, reason)

    def _open(
        self, request: PollRequest, token: str, device: DeviceRef, peer: str
    ) -> tuple[PollConnection, PollRequest]:
        if request.request_number != 1 or request.ack:
            raise bad_frame("a session begins with requestNumber 1 and without ack")
        if self._shared.draining:
            raise unavailable("this server is going away; connect again")
        request = _with_hello(request, token)
        self._check_bounds(device, peer)
        connection = PollConnection(secrets.token_urlsafe(18), device, peer, self._shared.limits)
        connection.attach(self._new_session(connection))
        self._connections[connection.session_id] = connection
        self._count(connection, 1)
        connection.polled_at = self._shared.now
        self.lapses.add(connection, self._shared.now + self._shared.limits.poll_lapse_s)
        return connection, request

    def _check_bounds(self, device: DeviceRef, peer: str) -> None:
        bounds = self._bounds
        if self._by_device[device] >= bounds.per_device:
            self._forget_one_closed(device)
        if (
            self._by_device[device] >= bounds.per_device
            or self._by_user[device.user_id] >= bounds.per_user
            or self._by_address[address_key(peer)] >= bounds.per_address
            or len(self._connections) >= bounds.total
        ):
            raise rate_limited(round(self._shared.limits.poll_lapse_s * 1000), "too many polling sessions")

    def _forget_one_closed(self, device: DeviceRef) -> None:
        for connection in self._connections.values():
            if connection.device == device and connection.is_closed:
                self._forget(connection)
                return

    def _lapse(self, connection: PollConnection, now: float) -> float:
        if self._connections.get(connection.session_id) is not connection:
            return 0.0
        due = connection.polled_at + self._shared.limits.poll_lapse_s
        if connection.is_polled or due > now:
            return max(due, now + 1.0)
        self._forget(connection)
        connection.abort()
        return 0.0

    def _forget(self, connection: PollConnection) -> None:
        if self._connections.pop(connection.session_id, None) is not None:
            self._count(connection, -1)
            self._shared.counters.slow_polls += connection.close_code == CloseCode.SLOW_CONSUMER

    def _count(self, connection: PollConnection, change: int) -> None:
        self._shared.counters.polls += change
        _add(self._by_device, connection.device, change)
        _add(self._by_user, connection.device.user_id, change)
        _add(self._by_address, address_key(connection.peer), change)


def _add(counter: Counter[Key], key: Key, change: int) -> None:
    """Add, and keep no entry that is zero."""
    counter[key] += change
    if not counter[key]:
        del counter[key]


def _with_hello(request: PollRequest, token: str) -> PollRequest:
    """Return the opening request with the hello's token filled in; it must be that of the ``Authorization`` header."""
    if not request.frames:
        raise bad_frame("a session begins with a hello frame")
    try:
        hello = decode_client(bytes(request.frames[0]))
    except RejectedFrame as rejected:
        raise bad_frame(rejected.error.message) from None
    if not isinstance(hello, frames.Hello):
        raise bad_frame("a session begins with a hello frame")
    if hello.token and not hmac.compare_digest(hello.token.encode(), token.encode()):
        raise bad_frame("the hello's token is not that of the Authorization header")
    filled = msgspec.Raw(encode(msgspec.structs.replace(hello, token=token)))
    return msgspec.structs.replace(request, frames=(filled, *request.frames[1:]))
