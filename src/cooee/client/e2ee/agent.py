"""The agent of one device. See the package's docstring for how it is driven."""

from collections.abc import Mapping
from typing import Final

import msgspec

from cooee.client.e2ee import controls, due, healing, lists, moved, stock
from cooee.client.e2ee.book import Book
from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.kinds import OutFrame, UserState
from cooee.client.e2ee.results import Diagnostics, Person, Standing
from cooee.client.e2ee.step import Flight, Memory, Step
from cooee.client.e2ee.wants import Want
from cooee.crypto.primitives import Random
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames

WANTS_AT_ONCE: Final = 8
FRAMES_AT_ONCE: Final = 4
"""``to_device`` frames under way at a time."""


class Agent:
    """All end-to-end encryption of this device. Its state is what was installed last; nothing here does I/O."""

    def __init__(self, me: DeviceRef, records: Mapping[tuple[str, str], bytes], random: Random) -> None:
        """Take what the store has; nothing: a device that begins. Records are parsed when they are needed."""
        self.me = me
        self._book = Book(records)
        self._memory = Memory()
        self._random = random
        self._newest: Draft | None = None
        view = self._view(0)
        self._memory.lists |= controls.unresolved(view)

    def __repr__(self) -> str:
        return f"Agent({self.me.user_id}/{self.me.device_id})"

    def _view(self, now: int) -> Step:
        return Step(self.me, self._book, self._memory, self._random, now)

    def draft(self, now: int) -> Draft:
        """Begin a step. Only the draft made last may be installed, and only once."""
        self._newest = Draft(self._view(now), self._install)
        return self._newest

    def _install(self, draft: Draft) -> None:
        if draft is not self._newest:
            raise RuntimeError("another draft was begun since, or this one was installed")
        self._newest = None
        draft.step.install()

    # --- what is to be done

    def has_work(self, now: int) -> bool:
        """Tell whether `Draft.work` has something to do now."""
        return due.work_due(self._view(now))

    def next_due(self, now: int) -> int | None:
        """Return when to look again (`has_work`, `wants`, `outgoing`), None: not before something happens."""
        view, memory = self._view(now), self._memory
        if due.work_due(view) or self._wanted(view):
            return now
        times = [retry.at for retry in (*memory.retries.values(), *memory.frame_retries.values())]
        times += [retry.at for retry in (*memory.barred.values(), *memory.mismatches.values())]
        times += [stock.upkeep_due(view), memory.status_at + stock.LOOK_AFTER_MS]
        ask_at = healing.next_ask(view)
        times += [] if ask_at is None else [ask_at]
        return min((at for at in times if at > now), default=None)

    def wants(self, now: int) -> list[Want]:
        """Return what is to be done outside, each once; answer all with `Draft.got` or `Draft.failed`.

        At most 8 are given at a time: call again after each answer.
        """
        view, memory = self._view(now), self._memory
        given: list[Want] = []
        for slot, wanted in self._wanted(view):
            want = msgspec.structs.replace(wanted, number=memory.next_number())
            memory.flights[slot] = Flight(want, now)
            given.append(want)
        return given

    def _wanted(self, view: Step) -> list[tuple[due.Slot, Want]]:
        memory = self._memory
        room = WANTS_AT_ONCE - sum(memory.flies(slot, view.now) for slot in memory.flights)
        found: list[tuple[due.Slot, Want]] = []
        if room <= 0:
            return found
        for slot, want in due.possible(view):
            retry = memory.retries.get(slot)
            if memory.flies(slot, view.now) or (retry is not None and view.now < retry.at):
                continue
            found.append((slot, want))
            if len(found) == room:
                break
        return found

    def outgoing(self, limits: frames.WireLimits, now: int) -> list[frames.ToDeviceSend]:
        """Return ``to_device`` frames to send on this connection, in order, each once; all stored already.

        Each ends with `Draft.to_device_acked` or `Draft.to_device_refused`. Not answered ones come again after
        `reconnected`, with the same ``clientMessageId``. At most 4 are under way at a time. A frame that is beyond
        ``limits`` is refused by the server, and then goes in parts.
        """
        view, memory = self._view(now), self._memory
        sending: list[frames.ToDeviceSend] = []
        for ident in sorted(view.ids("out")):
            retry = memory.frame_retries.get(ident)
            if ident in memory.sent or (retry is not None and now < retry.at):
                continue
            if len(memory.sent) >= FRAMES_AT_ONCE:
                break
            frame: OutFrame = view.find("out", ident)
            items = tuple(frames.ToDeviceItem(*item.ref, item.content) for item in frame.items)
            memory.sent.add(ident)
            sending.append(frames.ToDeviceSend(ident, items))
        return sending

    def reconnected(self, now: int) -> None:
        """A new connection is there (`welcome` came): frames that were not answered are sent again.

        What failed is wanted again at once; wants that are under way stay so. The own list and the stock of keys are
        looked at again. Changes nothing that is stored.
        """
        memory = self._memory
        memory.retries.clear()
        memory.sent.clear()
        memory.frame_retries.clear()
        memory.status_due = True
        memory.lists.add(self.me.user_id)

    def looks_up(self, user_id: str) -> bool:
        """Tell whether a user's device list is to be fetched, or on its way."""
        return user_id in self._memory.lists

    def knows_sender(self, frame: frames.MessageFrame) -> bool:
        """Tell whether the device that sent a message is, or was, in a list that is known here."""
        view, ref = self._view(0), DeviceRef(frame.sender_id, frame.sender_device_id)
        user: UserState = view.user(ref.user_id)
        return ref == self.me or ref.device_id in user.devices or ref.device_id in user.former

    # --- what is known

    @property
    def standing(self) -> Standing:
        """How this device stands."""
        view = self._view(0)
        known = view.has_device and not moved.is_due(view)
        return view.device.standing if known else "preparing"

    @property
    def published(self) -> bool:
        """Whether the server has this device's keys, so that others can begin sessions with it."""
        view = self._view(0)
        return view.has_device and view.device.published

    def person(self, user_id: str) -> Person:
        """Return what is known of a user; of oneself too."""
        view = self._view(0)
        user: UserState = view.user(user_id)
        return Person(
            user_id,
            user.known,
            user.account_key or None,
            user.verified,
            user.changed_at > 0,
            user.bot,
            tuple(ref for ref, _ in lists.current(view, user_id)),
        )

    def own_account_key(self) -> bytes | None:
        """Return the 32 public bytes of the own account key, None while this device is not linked."""
        view = self._view(0)
        key = lists.own_key(view) if view.linked else None
        return None if key is None else bytes(key)

    def diagnostics(self, now: int) -> Diagnostics:
        """Return how it fares; nothing secret."""
        view = self._view(now)
        return Diagnostics(
            self.standing,
            view.user(self.me.user_id).version,
            view.count("prekey"),
            view.count("kem"),
            view.device.signed[0].made_at if view.has_device else 0,
            view.count("session"),
            view.count("chain") + view.count("peer"),
            view.count("waiting"),
            view.count("out") + view.count("todo"),
            view.count("held"),
            dict(self._memory.counts),
        )
