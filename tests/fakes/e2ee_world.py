"""A world of people with devices, for the agent: everything happens by chance, some of it wrong; then all is well.

A device is a `Box`: an agent, its store as last committed, an outbox, and the messages that it has. `World` moves time,
carries what is sent, and breaks what its `Faults` say. `World.settle` lets everybody come online until it is quiet;
`World.check` says what is wrong.
"""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from cooee.client.e2ee.agent import Agent
from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.kinds import Waiting
from cooee.client.e2ee.results import GaveUp, Letter, NotYet, Opened, Refused, Sealed
from cooee.client.e2ee.wants import (
    Claim,
    ExportArchive,
    FetchGroup,
    FetchLists,
    FetchStatus,
    FoundKey,
    ImportArchive,
    LookUpKeys,
    PublishKeys,
    PutDeviceList,
    StoredArchive,
    Want,
)
from cooee.crypto import sender_key
from cooee.crypto.errors import CryptoError
from cooee.crypto.sender_key import PeerSenderKeys
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef, direct_conversation_id, is_direct
from cooee.protocol import frames
from tests.fakes.e2ee_server import Refusal, Server, Stored

NOW = 1_800_000_000_000
Place = tuple[str, int]
Change = Callable[[], Any]


class Faults(NamedTuple):
    """How likely, of each thing that can go wrong, it does."""

    lose_blob: float = 0.0
    double_blob: float = 0.0
    swap_blobs: float = 0.0
    lose_answer: float = 0.0
    fail_store: float = 0.0
    tamper: float = 0.0
    restart: float = 0.0
    lose_keys: float = 0.0
    revoke: float = 0.0
    pry: float = 0.0


CALM = Faults(fail_store=0.05, restart=0.02, tamper=0.1, lose_answer=0.05, double_blob=0.1)
"""Nothing of this may make a single message unreadable, not even for a while."""
WILD = Faults(0.05, 0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.02, 0.004, 0.03)


class StoreFailed(Exception):
    """The transaction failed."""


class Box:
    """One device."""

    def __init__(self, world: "World", ref: DeviceRef) -> None:
        self.world = world
        self.me = ref
        self.records: dict[tuple[str, str], bytes] = {}
        self.keys: dict[tuple[str, DeviceRef, str], tuple[int, bytes]] = {}
        self.rows: dict[Place, tuple[Stored, bytes | None]] = {}
        self.outbox: list[Letter] = []
        self.sealed: dict[str, Sealed] = {}
        self.positions: dict[str, int] = {name: len(timeline) for name, timeline in world.server.timelines.items()}
        self.began = dict(self.positions)
        self.online = False
        self.revoked = False
        self.code_at = 0
        self.ended: dict[str, int] = {}
        self.gave_up: set[Place] = set()
        self.pried: set[Place] = set()
        self.refused: list[str] = []
        self.counts: Counter[str] = Counter()
        self.agent = Agent(self.me, self.records, self.world.chance.randbytes)

    def start(self) -> None:
        """Start the program anew: what was not stored is gone."""
        self.counts += Counter(self.agent.diagnostics(0).counts)
        self.agent = Agent(self.me, self.records, self.world.chance.randbytes)
        self.sealed = {}
        self.online = False

    def tallies(self) -> Counter[str]:
        """Return what was counted over all its runs."""
        return self.counts + Counter(self.agent.diagnostics(0).counts)

    @property
    def server(self) -> Server:
        return self.world.server

    def step(self, fill: Callable[[Draft], Any], *changes: Change) -> bool:
        """Do a step as the SDK does: fill, store with ``changes``, install. False: not stored, and nothing happened."""
        draft = self.agent.draft(self.server.now)
        fill(draft)
        if self.world.happens(self.world.faults.fail_store):
            return False
        for key, data in draft.records().items():
            if data is None:
                self.records.pop(key, None)
            else:
                self.records[key] = data
        for one in draft.message_keys:
            sender = DeviceRef(one.sender_id, one.sender_device_id)
            self.keys[one.conversation_id, sender, one.client_message_id] = (one.sequence_number, one.key)
        for change in changes:
            change()
        draft.install()
        for notice in draft.notices:
            self.counts[type(notice).__name__] += 1
            if isinstance(notice, GaveUp):
                self.gave_up.add((notice.conversation_id, notice.sequence_number))
        return True

    # --- a moment of its life

    def live(self) -> None:
        """Do everything that there is to do now, once."""
        if not self.online or self.revoked:
            return
        for _ in range(8):
            if not self.agent.has_work(self.server.now):
                break
            self.step(lambda draft: draft.work())
        for want in self.agent.wants(self.server.now):
            self._carry_out(want)
        self._send_blobs()
        self._take_blobs()
        self._take_messages()
        self._open_late()
        self._send()

    def connect(self) -> None:
        if not self.revoked:
            self.online = True
            self.agent.reconnected(self.server.now)

    def _carry_out(self, want: Want) -> None:
        """Carry out a want, and give the answer until it is stored."""
        likely = self.world.faults.lose_answer
        code, answer = "unreachable", None
        if not self.world.happens(likely):
            try:
                answer = self._answer(want)
                code = "unreachable" if self.world.happens(likely) else ""
            except Refusal as refusal:
                code = refusal.code
        given = partial(Draft.failed, want=want, code=code) if code else partial(Draft.got, want=want, answer=answer)
        while not self.step(given):
            pass

    def _answer(self, want: Want) -> Any:  # noqa: C901, PLR0911
        server = self.server
        match want:
            case FetchStatus():
                return server.status(self.me)
            case PublishKeys():
                return server.publish(self.me, want.body)
            case PutDeviceList():
                answer = server.put_list(self.me.user_id, want.body)
                self.world.after_list()
                return answer
            case FetchLists():
                return server.fetch_lists(want.body)
            case FetchGroup():
                return server.group(self.me.user_id, want.conversation_id)
            case Claim():
                return server.claim(want.body)
            case LookUpKeys():
                return self._look_up(want)
            case ExportArchive():
                name = f"archive-of-a-device-{len(self.world.media):08d}"
                self.world.media[name] = dict(self.keys)
                return StoredArchive(name, bytes(32), bytes(32), 1)
            case ImportArchive():
                for key, value in self.world.media[want.archive.media_key].items():
                    self.keys.setdefault(key, value)
        return None

    def _look_up(self, want: LookUpKeys) -> list[FoundKey]:
        found = []
        for item in want.items:
            sender = DeviceRef(item.sender_id, item.sender_device_id)
            known = self.keys.get((item.conversation_id, sender, item.client_message_id))
            if known is not None:
                stored = self.server.timelines[item.conversation_id][known[0] - 1]
                found.append(FoundKey(item, known[0], stored.timestamp, known[1]))
        return found

    def _send_blobs(self) -> None:
        for frame in self.agent.outgoing(frames.WireLimits(), self.server.now):
            if self.revoked:
                return
            self.server.to_device(self.me, frame)
            if not self.world.happens(self.world.faults.lose_answer):
                self.step(partial(Draft.to_device_acked, client_message_id=frame.client_message_id))
            else:
                self.step(
                    partial(Draft.to_device_refused, client_message_id=frame.client_message_id, code="unreachable")
                )

    def _take_blobs(self) -> None:
        world, queue = self.world, self.server.queues[self.me]
        for _ in range(min(len(queue), 20)):
            if len(queue) > 1 and world.happens(world.faults.swap_blobs):
                queue[0], queue[1] = queue[1], queue[0]
            frame = queue[0]
            if world.happens(world.faults.lose_blob):
                queue.pop(0)
                continue
            taken = self.step(partial(Draft.to_device, frame=frame))
            if taken and not world.happens(world.faults.double_blob):
                queue.pop(0)

    def _take_messages(self) -> None:
        if self.world.faults.lose_blob == 0 and self.server.queues[self.me]:
            return  # nothing is lost here, so that what was sent before is here before
        for name, timeline in list(self.server.timelines.items()):
            for _ in range(10):
                position = self.positions.get(name, 0)
                if position >= len(timeline):
                    break
                stored = timeline[position]
                if not self._take(name, stored):
                    break

    def _take(self, name: str, stored: Stored) -> bool:
        number = stored.number
        passed = partial(self.positions.__setitem__, name, number)
        if not self.server.may_read(name, self.me.user_id, number) or stored.sender == self.me:
            passed()
            return True
        frame = self.server.frame_for(self.me, name, stored)
        if stored.content_type == "system":
            return self.step(partial(Draft.system, frame=frame), passed)
        if self.world.happens(self.world.faults.tamper):
            self._take_forged(frame)
        row: list[bytes | None] = [None]

        def fill(draft: Draft) -> None:
            result = draft.open(frame)
            if isinstance(result, Opened):
                row[0] = result.body
                return
            early = result.reason in {"list", "not_linked", "keys"}
            self.counts["broken"] += self.me in stored.current and not early

        return self.step(fill, passed, lambda: self.rows.__setitem__((name, number), (stored, row[0])))

    def _take_forged(self, frame: frames.MessageFrame) -> None:
        """Give the agent a message whose content was replaced; it must leave everything as it was."""
        forged = msgspec.structs.replace(frame, content=msgspec.Raw(msgspec.json.encode(base64url.encode(bytes(209)))))
        before = dict(self.records)
        draft = self.agent.draft(self.server.now)
        result = draft.open(forged)
        assert not isinstance(result, Opened)
        touched = {kind for kind, _ in draft.records()}
        self.world.blame(not touched & {"prekey", "kem", "tag", "peer", "chain"}, "a forged message changed keys")
        session = ("session", f"{frame.sender_id}/{frame.sender_device_id}")
        self.world.blame(
            session not in draft.records() or frame.envelope is not None, "a forged message changed a session"
        )
        self.world.blame(before == self.records, "a forged message was stored")

    def _open_late(self) -> None:
        """Open what is unreadable and has a key by now, as `Store.unreadable_with_key` finds it."""
        for place, (stored, body) in list(self.rows.items()):
            name = (place[0], stored.sender, stored.client_message_id)
            if body is None and name in self.keys:
                self._open_with(place, stored, name)

    def _open_with(self, place: Place, stored: Stored, name: tuple[str, DeviceRef, str]) -> None:
        frame = self.server.frame_for(self.me, place[0], stored)
        found: list[bytes] = []

        def fill(draft: Draft) -> None:
            result = draft.open(frame, self.keys[name][1])
            if isinstance(result, Opened):
                found.append(result.body)

        def settle() -> None:
            if found:
                self.rows[place] = (stored, found[0])
            else:
                del self.keys[name]

        self.step(fill, settle)

    # --- sending

    def write(self, name: str) -> None:
        """Put a message into the outbox."""
        self.world.written += 1
        ident = f"{self.me.user_id}-{self.me.device_id}-{self.world.written}"

        letters: list[Letter] = []
        self.step(
            lambda draft: letters.append(draft.enclose(name, ident, _text(ident))),
            lambda: self.outbox.append(letters[0]),
        )

    def _send(self) -> None:
        tried: set[str] = set()
        for letter in list(self.outbox):
            name = letter.conversation_id
            if name in tried:
                continue
            tried.add(name)
            if not is_direct(name) and self.me.user_id not in self.server.members[name]:
                self.outbox.remove(letter)
                continue
            sealed = self.sealed.get(letter.client_message_id) or self._seal(letter)
            if sealed is not None:
                self._send_one(letter, sealed)

    def _seal(self, letter: Letter) -> Sealed | None:
        result: list[Sealed | NotYet | Refused] = []
        if not self.step(lambda draft: result.append(draft.seal(letter))):
            return None
        if isinstance(result[0], Refused):
            self.refused.append(result[0].code)
            self.outbox.remove(letter)
        elif isinstance(result[0], Sealed):
            self.sealed[letter.client_message_id] = result[0]
            return result[0]
        return None

    def _send_one(self, letter: Letter, sealed: Sealed) -> None:
        frame = frames.Send(
            letter.client_message_id,
            "encrypted",
            msgspec.Raw(msgspec.json.encode(letter.content)),
            letter.conversation_id,
            envelopes=sealed.envelopes,
            group_envelope=sealed.group_envelope,
            roster_version=sealed.roster_version,
            device_list_hash=sealed.device_list_hash,
        )
        answer = self.server.send(self.me, frame)
        if self.world.happens(self.world.faults.lose_answer):
            return
        if isinstance(answer, frames.Error):
            if answer.code != "mismatched_devices":
                self.outbox.remove(letter)
                self.refused.append(answer.code)
            elif self.step(lambda draft: draft.mismatched(letter.conversation_id, answer)):
                del self.sealed[letter.client_message_id]
            return
        number = answer.number
        self.step(
            lambda draft: draft.placed(letter, number),
            lambda: self.outbox.remove(letter),
            lambda: self.sealed.pop(letter.client_message_id),
        )


class World:
    """Everybody, and the server."""

    def __init__(self, seed: int, faults: Faults, users: int = 5, devices: int = 3) -> None:
        self.chance = random.Random(seed)
        self.faults = Faults()
        self.server = Server(NOW)
        self.boxes: list[Box] = []
        self.media: dict[str, dict[Any, Any]] = {}
        self.written = 0
        self.lost = 0
        """Messages of which no device that may give the key has it: their sender was revoked too early."""
        self.wrong: list[str] = []
        self.users = [f"user{number}" for number in range(users)]
        for user_id in self.users:
            for _ in range(devices):
                self.log_in(user_id)
        self.settle()
        for box in self.boxes:
            self.blame(box.agent.standing == "linked", "a device was not linked")
        half = self.users[: users // 2 + 1]
        self.server.create("group:all", list(self.users))
        self.server.create("group:some", half)
        self.faults = faults

    # --- help

    def happens(self, likely: float) -> bool:
        return likely > 0 and self.chance.random() < likely

    def blame(self, holds: bool, text: str) -> None:
        if not holds:
            self.wrong.append(text)

    def after_list(self) -> None:
        """Devices that are in no list any more are revoked."""
        for box in self.boxes:
            if not box.revoked and box.me.device_id not in self.server.devices[box.me.user_id]:
                box.revoked, box.online = True, False
                box.ended = {name: len(timeline) for name, timeline in self.server.timelines.items()}

    def alive(self, user_id: str | None = None, *, linked: bool = False) -> list[Box]:
        return [
            box
            for box in self.boxes
            if not box.revoked and user_id in {None, box.me.user_id} and (not linked or box.agent.standing == "linked")
        ]

    # --- what may happen

    def log_in(self, user_id: str) -> Box:
        """Log a new device in; it is linked by and by."""
        ref = DeviceRef(user_id, f"d{len(self.boxes)}")
        self.server.devices[user_id].add(ref.device_id)
        box = Box(self, ref)
        self.boxes.append(box)
        box.connect()
        return box

    def link(self) -> None:
        """Let somebody carry the codes of new devices to old ones."""
        for box in self.alive():
            if not box.online or box.agent.standing != "unlinked":
                continue
            code_at = box.code_at
            old = [one for one in self.alive(box.me.user_id, linked=True) if one.online]
            if not old or self.server.now < code_at + 600_000:
                continue
            self._link(box, old[0])

    def _link(self, box: Box, old: Box) -> None:
        codes: list[str] = []
        try:
            if box.step(lambda draft: codes.append(draft.link_code())):
                old.step(lambda draft: draft.link(codes[0]))
                box.code_at = self.server.now
        except ValueError:
            return

    def random_step(self) -> None:
        """Let something happen, time go on, and everybody live for a moment."""
        chance, kind = self.chance, self.chance.random()
        box = chance.choice(self.alive())
        if kind < 0.45:
            self._write(box)
        elif kind < 0.48:
            self._change_group()
        elif kind < 0.58:
            box.online = False
        elif kind < 0.7:
            box.connect()
        elif kind < 0.71 and len(self.alive(box.me.user_id)) < 4:
            self.log_in(box.me.user_id)
        if self.happens(self.faults.restart):
            box.start()
        if self.happens(self.faults.lose_keys) and box.me in self.server.stocks:
            self.server.stocks[box.me].ones.clear()
            self.server.stocks[box.me].kems.clear()
        if self.happens(self.faults.pry) and box.agent.standing == "linked":
            self._pry(box)
        if self.happens(self.faults.revoke):
            self._revoke(box)
        self.pass_time(chance.choice((50, 500, 2_000, 8_000, 60_000)))

    def _write(self, box: Box) -> None:
        if box.agent.standing != "linked":
            return
        other = self.chance.choice(self.users)
        groups = [name for name, members in self.server.members.items() if box.me.user_id in members]
        name = self.chance.choice([*groups, *groups, direct_conversation_id(box.me.user_id, other)])
        box.write(name)

    def _change_group(self) -> None:
        name = self.chance.choice(sorted(self.server.members))
        user = self.chance.choice(self.users)
        if user not in self.server.members[name]:
            self.server.join(name, user)
        elif len(self.server.members[name]) > 2:
            self.server.leave(name, user)

    def _revoke(self, box: Box) -> None:
        others = [one for one in self.alive(box.me.user_id, linked=True) if one is not box and one.online]
        if box.agent.standing == "linked" and others:
            target = box.me.device_id
            try:
                others[0].step(lambda draft: draft.revoke(target))
            except ValueError:
                return

    def _pry(self, box: Box) -> None:
        """Let a device ask for the key of a message that it is not entitled to."""
        name = self.chance.choice(sorted(self.server.timelines))
        for stored in reversed(self.server.timelines[name]):
            number = stored.number
            if stored.content_type == "encrypted" and not self.server.may_read(name, box.me.user_id, number):
                self._plant(box, name, self.chance.choice([number, *range(1, number)]), stored)
                return

    def _plant(self, box: Box, name: str, number: int, stored: Stored) -> None:
        """Have a device ask, naming a number of its choice."""
        if box.rows.get((name, number), (stored, b""))[1] is None:
            return  # it waits for another message there
        waiting = Waiting(
            name, number, stored.sender, stored.client_message_id, 0, None, None, 0, "", "", self.server.now
        )
        box.step(lambda draft: draft.step.put("waiting", f"{name}#{number}", waiting))
        box.pried.add((name, number))

    def pass_time(self, ms: int) -> None:
        self.server.now += ms
        self.link()
        for box in list(self.boxes):
            box.live()

    def settle(self, days: int = 2) -> None:
        """Let everybody be online, nothing go wrong any more, and time pass until nothing is left to do."""
        self.faults = Faults()
        for box in self.alive():
            box.connect()
            for name, number in box.pried - set(box.rows):
                box.step(partial(Draft.forget, conversation_id=name, sequence_number=number))
        until = self.server.now + days * 24 * 3_600_000
        quiet = 0
        while quiet < 4 and self.server.now < until:
            before = self._marks()
            dues = [
                at for box in self.alive() if box.online and (at := box.agent.next_due(self.server.now)) is not None
            ]
            waits = any(
                box.agent.diagnostics(0).waiting or box.outbox or box.agent.standing != "linked" for box in self.alive()
            )
            soon = min(dues, default=self.server.now + 1_000)
            jump = max(soon - self.server.now, 1) if waits else 1_000
            self.pass_time(min(jump, 3_600_000 * 13))
            for _ in range(3):
                self.pass_time(100)
            quiet = 0 if self._marks() != before or waits else quiet + 1

    def _marks(self) -> Any:
        return [
            (
                len(box.keys),
                len(box.outbox),
                len(self.server.queues[box.me]),
                tuple(box.positions.items()),
                box.agent.standing,
                box.agent.diagnostics(0).outbound,
            )
            for box in self.alive()
        ], self.server.blobs

    # --- what must hold

    def check(self) -> list[str]:
        """Return everything that is wrong, after `settle`."""
        for box in self.alive():
            self.blame(not box.outbox, f"{box.me} has not sent everything")
            self.blame(box.agent.standing == "linked", f"{box.me} is {box.agent.standing}")
        for name, timeline in self.server.timelines.items():
            for stored in timeline:
                if stored.content_type == "encrypted":
                    self._check_read(name, stored)
                    self._check_secret(name, stored)
        return self.wrong

    def _check_read(self, name: str, stored: Stored) -> None:
        for box in self.alive():
            number = stored.number
            if box.me == stored.sender or number <= box.began.get(name, 0):
                continue
            if not self.server.may_read(name, box.me.user_id, number):
                continue
            row = box.rows.get((name, number))
            if row is not None and row[1] is not None:
                self.blame(
                    row[1] == _text(stored.client_message_id), f"{box.me} reads something else in {name} {number}"
                )
                continue
            key = (name, stored.sender, stored.client_message_id)
            holders = [
                one
                for one in self.alive()
                if key in one.keys and one.me.user_id in {stored.sender.user_id, box.me.user_id}
            ]
            lost = not holders and not any(one.me == stored.sender for one in self.alive())
            self.lost += lost
            self.blame(lost, f"{box.me} cannot read {name} {number} of {stored.sender}")

    def _check_secret(self, name: str, stored: Stored) -> None:
        """Who was no member, or revoked, reads nothing, neither with keys that he has nor by trying."""
        for box in self.boxes:
            early = not box.revoked or stored.number <= box.ended.get(name, 0)
            allowed = early and self.server.may_read(name, box.me.user_id, stored.number)
            if allowed or box.me == stored.sender:
                continue
            known = (name, stored.sender, stored.client_message_id) in box.keys
            self.blame(not known, f"{box.me} has the key of {name} {stored.number}")
            self.blame(box.me not in stored.envelopes, f"{box.me} has an envelope of {name} {stored.number}")
            self.blame(not _can_read(box, name, stored), f"{box.me} can read {name} {stored.number}")


def _can_read(box: Box, name: str, stored: Stored) -> bool:
    data = box.records.get(("peer", f"{name}/{stored.sender.user_id}/{stored.sender.device_id}"))
    if data is None or stored.group_envelope is None:
        return False
    try:
        sender_key.decrypt(
            PeerSenderKeys.load(data),
            base64url.decode(stored.group_envelope),
            stored.roster_version or 0,
            stored.hash or "",
        )
    except CryptoError:
        return False
    return True


def _text(client_message_id: str) -> bytes:
    return f"what {client_message_id} says".encode()
