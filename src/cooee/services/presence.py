"""Presence that cannot hurt: subscribers only, debounced, coalesced, and the first thing shed under load.

A change is told at most once per tick and only in its latest form. While the server is overloaded nothing is told at
all; afterwards watchers get the states as they are then. Who may see whom is decided when a watch begins and again when
a privacy setting, a contact or a block changes, so a change costs no look-up (PROTOCOL.md §7).
"""

import asyncio
from collections.abc import Callable, Sequence

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DeviceRef, is_user_id
from cooee.domain.limits import Limits
from cooee.ports.accounts import Account, Accounts, LastSeenAudience
from cooee.ports.clock import Clock
from cooee.ports.contacts import Contacts
from cooee.ports.presence import Presence, PresenceState
from cooee.protocol import codec, frames

TICK_S = 0.25
"""How often changes are told and drops are looked at."""

Tell = Callable[[str, bytes], None]
"""Sends a frame to the session with this connectionId, if it is still there."""


class PresenceService:
    """Who is online, for those who may know. One per gateway; `run` must be running."""

    def __init__(
        self,
        presence: Presence,
        accounts: Accounts,
        contacts: Contacts,
        clock: Clock,
        limits: Limits,
        server_id: str,
        *,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._presence = presence
        self._accounts = accounts
        self._contacts = contacts
        self._clock = clock
        self._limits = limits
        self._server_id = server_id
        self._overloaded = overloaded
        self._tell: Tell = lambda _connection_id, _frame: None
        self._watchers: dict[str, dict[str, bool]] = {}
        self._watched: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._leaving: dict[str, float] = {}
        self._changed: dict[str, PresenceState] = {}
        self._incoming: dict[str, PresenceState] = {}

    def attach(self, tell: Tell) -> None:
        """Set how a connection of this gateway is told something."""
        self._tell = tell

    async def start(self) -> None:
        """Begin to listen for the changes of watched users."""
        await self._presence.subscribe(self._server_id, self._receive)

    async def connected(self, device: DeviceRef, connection_id: str) -> None:
        """Count a new connection. A return within the debounce time is not announced."""
        state = await self._presence.connect(device.user_id, self._server_id, connection_id, self._clock.wall_ms())
        if self._leaving.pop(device.user_id, None) is None and state is not None:
            self._changed[device.user_id] = state

    async def disconnected(self, device: DeviceRef, connection_id: str) -> None:
        """Stop counting a connection; the user is announced offline if he stays away."""
        await self.unsubscribe(device.user_id, connection_id)
        now = self._clock.wall_ms()
        state = await self._presence.disconnect(device.user_id, self._server_id, connection_id, now)
        if state is not None:
            self._leaving[device.user_id] = self._clock.monotonic() + self._limits.presence_debounce_s

    async def subscribe(self, user_id: str, connection_id: str, user_ids: Sequence[str]) -> list[frames.Presence]:
        """Replace whom the connection watches; return their states as this user may see them.

        Raises:
            CooeeError: ``bad_frame`` for an impossible userId, ``too_large`` for too many.
        """
        wanted = tuple(dict.fromkeys(user_ids))
        if len(wanted) > self._limits.presence_subscriptions:
            raise CooeeError(
                ErrorCode.TOO_LARGE, f"at most {self._limits.presence_subscriptions} users can be watched at once"
            )
        if not all(is_user_id(user) for user in wanted):
            raise bad_frame("userIds must be userIds")
        await self.unsubscribe(user_id, connection_id)
        accounts = await self._accounts.find_many(wanted)
        visible = await self._visible(user_id, accounts)
        self._watched[connection_id] = (user_id, wanted)
        fresh = [user for user in wanted if user in accounts and user not in self._watchers]
        for user in wanted:
            if user in accounts:
                self._watchers.setdefault(user, {})[connection_id] = user in visible
        if fresh:
            await self._presence.watch(self._server_id, fresh)
        states = await self._presence.states(wanted)
        return [self._frame(user, states.get(user), accounts.get(user), user in visible) for user in wanted]

    async def unsubscribe(self, user_id: str, connection_id: str) -> None:
        """Watch nobody any more."""
        _, watched = self._watched.pop(connection_id, (user_id, ()))
        gone = []
        for user in watched:
            connections = self._watchers.get(user)
            if connections is not None:
                connections.pop(connection_id, None)
                if not connections:
                    del self._watchers[user]
                    gone.append(user)
        if gone:
            await self._presence.unwatch(self._server_id, gone)

    async def refresh(self, user_id: str) -> None:
        """Decide anew who sees whom, after the user's privacy, contacts or blocks changed, and tell what is new."""
        affected = [(connection, user_id) for connection in self._watchers.get(user_id, ())]
        for connection, (watcher, watched) in self._watched.items():
            if watcher == user_id:
                affected += [(connection, user) for user in watched if user in self._watchers]
        for connection_id, user in affected:
            watcher = self._watched.get(connection_id, ("", ()))[0]
            connections = self._watchers.get(user)
            if not watcher or connections is None or connection_id not in connections:
                continue
            accounts = await self._accounts.find_many([user])
            sees = user in await self._visible(watcher, accounts)
            if connections.get(connection_id) is not sees:
                connections[connection_id] = sees
                state = (await self._presence.states([user])).get(user)
                self._tell(connection_id, codec.encode(self._frame(user, state, accounts.get(user), sees)))

    async def run(self) -> None:
        """Tell changes, tick by tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Do what is due now: announce who left, publish changes, tell watchers. Nothing while overloaded."""
        if self._overloaded():
            return
        await self._announce_left()
        if self._changed:
            changes, self._changed = list(self._changed.values()), {}
            await self._presence.publish(changes)
        if self._incoming:
            incoming, self._incoming = self._incoming, {}
            for state in incoming.values():
                self._tell_watchers(state)

    async def aclose(self) -> None:
        """Stop listening, and keep when the users of this gateway were last seen."""
        left = await self._presence.unsubscribe(self._server_id, self._clock.wall_ms())
        await self._presence.publish(left)
        await self._keep_last_seen(left)

    async def _announce_left(self) -> None:
        now = self._clock.monotonic()
        due = [user for user, at in self._leaving.items() if at <= now]
        if not due:
            return
        for user in due:
            del self._leaving[user]
        states = await self._presence.states(due)
        left = [state for user in due if (state := states.get(user)) is not None and not state.online]
        self._changed.update((state.user_id, state) for state in left)
        await self._keep_last_seen(left)

    async def _keep_last_seen(self, left: Sequence[PresenceState]) -> None:
        seen = {state.user_id: state.last_seen for state in left if state.last_seen}
        if seen:
            await self._accounts.note_seen(seen)

    def _receive(self, changes: Sequence[PresenceState]) -> None:
        for state in changes:
            known = self._incoming.get(state.user_id)
            if known is None or known.changed_at < state.changed_at:
                self._incoming[state.user_id] = state

    def _tell_watchers(self, state: PresenceState) -> None:
        connections = self._watchers.get(state.user_id)
        if not connections:
            return
        last_seen = None if state.online else state.last_seen or None
        frame = codec.encode(frames.Presence(state.user_id, "online" if state.online else "offline", last_seen))
        for connection_id, sees in connections.items():
            if sees:
                self._tell(connection_id, frame)

    async def _visible(self, watcher: str, accounts: dict[str, Account]) -> frozenset[str]:
        users = [user for user, account in accounts.items() if not account.deleted and not account.disabled]
        blocked = await self._contacts.blocked_either_way(watcher, users)
        knowing = await self._contacts.who_have(watcher, users)
        return frozenset(
            user
            for user in users
            if user == watcher or (user not in blocked and _audience_has(accounts[user], known=user in knowing))
        )

    def _frame(self, user: str, state: PresenceState | None, account: Account | None, sees: bool) -> frames.Presence:
        if not sees or account is None:
            return frames.Presence(user, "offline")
        if user in self._leaving or (state is not None and state.online):
            return frames.Presence(user, "online")
        last_seen = (state.last_seen if state is not None else 0) or account.last_seen
        return frames.Presence(user, "offline", last_seen or None)


def _audience_has(account: Account, *, known: bool) -> bool:
    audience = account.privacy.last_seen
    return audience is LastSeenAudience.EVERYONE or (audience is LastSeenAudience.CONTACTS and known)
