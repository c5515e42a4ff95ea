"""One step of the agent: an overlay over its state, stored with the turn that caused it, then installed, or dropped."""

from collections.abc import Callable
from functools import partial
from typing import Any

from cooee.client.e2ee import controls, due, groups, linking, lists, moved, opening, own, pairwise, sealing
from cooee.client.e2ee.kinds import Wish
from cooee.client.e2ee.results import Letter, MessageKey, Notice, NotYet, Opened, Refused, Sealed, Unreadable
from cooee.client.e2ee.step import Step
from cooee.client.e2ee.wants import Want
from cooee.crypto.keys import AccountPrivateKey
from cooee.domain import base64url
from cooee.protocol import frames
from cooee.protocol.body import MAX_ITEMS, OwnContact, OwnControl, OwnConversation


class Draft:
    """One step. Made by `Agent.draft`; every method below changes this draft only.

    ``message_keys``: keys to store with it. ``notices``: to act on after `install`.
    """

    def __init__(self, step: Step, install: Callable[["Draft"], None]) -> None:
        self.step = step
        self._install = install

    @property
    def message_keys(self) -> list[MessageKey]:
        """The keys to store with this draft."""
        return self.step.message_keys

    @property
    def notices(self) -> list[Notice]:
        """What to act on after `install`."""
        return self.step.notices

    # --- the end of the step

    def records(self) -> dict[tuple[str, str], bytes | None]:
        """Return what to store in the turn's transaction: ``(kind, id)`` to bytes, None: remove. Secret.

        Call once, when the turn is complete.
        """
        return self.step.dumped()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store (neither records nor message keys)."""
        return not self.step.changed and not self.step.message_keys

    def install(self) -> None:
        """Make this the agent's state. Call after the transaction has been committed, before anything is sent.

        Raises:
            RuntimeError: another draft was begun since, or this one was installed.
        """
        self._install(self)

    # --- sending

    def enclose(self, conversation_id: str, client_message_id: str, body: bytes) -> Letter:
        """Seal ``body`` under a fresh key. Once a message, when it enters the outbox, where the letter is kept.

        Works without connection, lists or link. When the message has its number, store its `MessageKey`: `placed`.
        """
        return sealing.enclose(self.step, conversation_id, client_message_id, body)

    def seal(self, letter: Letter) -> Sealed | NotYet | Refused:
        """Make the envelopes of a letter for the devices that are current now.

        Call when its turn comes in the outbox (one in flight per conversation), and again after each stored step while
        the answer is `NotYet`. A conversation that is asked about no more for 10 minutes is prepared no further.
        """
        return sealing.seal(self.step, letter)

    def mismatched(self, conversation_id: str, error: frames.Error) -> None:
        """The server refused a sealed message with ``mismatched_devices``: look anew, then `seal` again."""
        sealing.mismatched(self.step, conversation_id, error)

    def placed(self, letter: Letter, sequence_number: int) -> None:
        """An own letter has its number: its key goes into `message_keys` (own devices may ask for it)."""
        sealing.placed(self.step, letter, sequence_number)

    # --- receiving

    def open(self, frame: frames.MessageFrame, key: bytes | None = None) -> Opened | Unreadable:
        """Open an encrypted message of another device (own other devices too), ``key`` given: with that K.

        Without ``key``: once for each message that arrives, when it is taken in. Never for one that the store holds
        readable. With ``key``: for what ``Store.unreadable_with_key`` finds, and pages of history whose key is stored.
        A failing message changes nothing but what is asked for. On success the key stands in `message_keys`.
        """
        return opening.open_message(self.step, frame, key)

    def forget(self, conversation_id: str, sequence_number: int) -> None:
        """A message was deleted or has disappeared: ask for its key no more. Harmless for any other."""
        opening.forget(self.step, conversation_id, sequence_number)

    def system(self, frame: frames.MessageFrame) -> None:
        """A system message of a group was taken in: who is a member is looked at again, and when he left is noted.

        Call for every system message of a group, in order, when it is delivered.
        """
        groups.system(self.step, frame)

    def look_up(self, user_id: str) -> None:
        """Have a user's device list fetched; `Agent.looks_up` tells whether that is still to come."""
        lists.need(self.step, user_id)

    def roster_changed(self, conversation_id: str) -> None:
        """Something else tells that a group's members or their devices may have changed: fetch it before sending."""
        groups.need(self.step, conversation_id)

    def to_device(self, frame: frames.ToDevice) -> None:
        """Take in a blob. Call for each, in order; acknowledge it (``to_device.received``) after the draft is stored.

        Redelivered ones do no harm. What it brings stands in `message_keys` and `notices`.
        """
        controls.take(self.step, frame)

    # --- what was wanted

    def got(self, want: Want, answer: Any) -> None:
        """A want was carried out; ``answer`` as its class says.

        If this draft cannot be stored, give the answer to a later one: until then the want counts as under way.
        """
        slot = self._landed(want)
        if slot is not None:
            due.got(self.step, slot, want, answer)

    def failed(self, want: Want, code: str, retry_after_ms: int | None = None) -> None:
        """A want failed, with the error code of the server, or ``unreachable``; it is wanted again later if need be."""
        slot = self._landed(want)
        if slot is not None:
            due.failed(self.step, slot, want, code, retry_after_ms)

    def to_device_acked(self, client_message_id: str) -> None:
        """The server has a frame of `Agent.outgoing`. Harmless for any other."""
        controls.frame_acked(self.step, client_message_id)

    def to_device_refused(self, client_message_id: str, code: str, retry_after_ms: int | None = None) -> None:
        """The server refused a frame of `Agent.outgoing`: retried later, split, or given up, as the code says."""
        controls.frame_refused(self.step, client_message_id, code, retry_after_ms)

    def work(self) -> None:
        """Do a bounded piece of what is due: keys, distributions, requests, retries, upkeep."""
        due.work(self.step)

    # --- the user's wishes

    def set_verified(self, user_id: str, *, on: bool) -> None:
        """The user compared the safety number, or takes that back. Told to the other own devices.

        Raises:
            ValueError: the user has no account key that is known here.
        """
        lists.set_verified(self.step, user_id, on=on)
        key = base64url.encode(self.step.user(user_id).account_key)
        self._tell_own(OwnControl(contacts=(OwnContact(user_id=user_id, account_key=key, verified=on),)))

    def accept_key(self, user_id: str) -> None:
        """Accept a changed account key: sending goes on. It is not verified by that."""
        lists.accept(self.step, user_id)

    def tell_own(self, *conversations: OwnConversation) -> None:
        """Tell the other own devices how conversations are set."""
        for at in range(0, len(conversations), MAX_ITEMS):
            self._tell_own(OwnControl(conversations=conversations[at : at + MAX_ITEMS]))

    def link_code(self) -> str:
        """Return a new code of this device, valid for 10 minutes, for an old device to take in (`link`).

        Raises:
            ValueError: this device is linked, or has not published its keys yet (`Agent.standing`).
        """
        return linking.link_code(self.step)

    def link(self, code: str) -> None:
        """Approve the device that shows ``code``: sign it in, hand it the account key, send it an archive.

        Raises:
            ValueError: the text is no valid code, of another account, or this device is not linked.
        """
        linking.approve(self.step, code)

    def revoke(self, device_id: str) -> None:
        """Sign a list without an own device; then have the server drop it (``DELETE /v1/devices/{deviceId}``).

        Raises:
            ValueError: it is this device, or none of the list; or this device is not linked.
        """
        step = self.step
        if not step.linked or device_id == step.me.device_id or device_id not in step.user(step.me.user_id).devices:
            raise ValueError("this is no other own device, or this device is not linked")
        own.wish(step, Wish("remove", device_id, since=step.now))

    def start_anew(self, password: str) -> None:
        """Make a new account key and a list with this device alone. Others are told; other own devices are unlinked."""
        step = self.step
        account = bytes(AccountPrivateKey.generate(step.random))
        step.change_device(wishes=(Wish("anew", account=account, since=step.now),))
        step.memory.password = password
        lists.need(step, step.me.user_id)

    def restored(self) -> None:
        """The records come from a backup: sessions and sender chains are begun anew, pre-keys replaced.

        Call once, in the first draft after a backup was restored.
        """
        moved.restored(self.step)

    # --- inside

    def _landed(self, want: Want) -> tuple[str, ...] | None:
        """End a want's flight, and return what it was for; None: it is none that was given, or was answered."""
        flights = self.step.memory.flights
        for slot, flying in flights.items():
            if flying.want.number == want.number:
                self.step.after(partial(flights.pop, slot, None))
                return slot
        return None

    def _tell_own(self, control: OwnControl) -> None:
        step = self.step
        for ref, _ in list(lists.current(step, step.me.user_id)):
            if step.linked:
                pairwise.tell(step, ref, control, "own")
