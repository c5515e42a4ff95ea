"""A model of the server for agents: keys, device lists, groups, timelines and queues, and its checks of what is sent.

It is blind and strict as the real one is (PROTOCOL.md §3, §9, §15), and keeps no connection: it is called.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import msgspec

from cooee.crypto.device_list import LABEL
from cooee.crypto.keys import AccountPublicKey
from cooee.domain import base64url
from cooee.domain.conversation import Role
from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.protocol import frames, keys
from cooee.protocol.http import Group, GroupMember


class Refusal(Exception):
    """The server says no."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Stock:
    """What the server has of one device's keys."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.signed: keys.SignedPreKey | None = None
        self.last_resort: keys.KemKey | None = None
        self.ones: list[keys.PreKey] = []
        self.kems: list[keys.KemKey] = []
        self.last_one = 0
        self.last_kem = 0


class Stored(NamedTuple):
    """A message in a timeline, or a system message."""

    number: int
    sender: DeviceRef
    client_message_id: str
    timestamp: int
    content_type: str
    content: str
    envelopes: dict[DeviceRef, str]
    group_envelope: str | None
    roster_version: int | None
    hash: str | None
    current: frozenset[DeviceRef]
    """The devices that were current, by the server's knowledge, when it was stored."""


class Server:
    """All of it."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.devices: dict[str, set[str]] = defaultdict(set)
        self.stocks: dict[DeviceRef, Stock] = {}
        self.lists: dict[str, tuple[keys.SignedList, keys.DeviceListPayload]] = {}
        self.timelines: dict[str, list[Stored]] = defaultdict(list)
        self.members: dict[str, dict[str, int]] = {}
        self.rosters: dict[str, int] = {}
        self.spans: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        self.queues: dict[DeviceRef, list[frames.ToDevice]] = defaultdict(list)
        self.blobs = 0
        self.dedup: dict[tuple[str, DeviceRef, str], Stored] = {}

    # --- keys and lists

    def publish(self, ref: DeviceRef, body: keys.PublishKeys) -> keys.KeyStock:
        stock = self.stocks.get(ref)
        if stock is None:
            if body.signed_pre_key is None or body.last_resort_kem_key is None:
                raise Refusal("bad_frame")
            stock = self.stocks[ref] = Stock(body.identity_key)
        if stock.identity != body.identity_key:
            raise Refusal("conflict")
        stock.signed = body.signed_pre_key or stock.signed
        stock.last_resort = body.last_resort_kem_key or stock.last_resort
        stock.ones += [one for one in body.one_time_pre_keys if one.id > stock.last_one]
        stock.kems += [kem for kem in body.one_time_kem_keys if kem.id > stock.last_kem]
        stock.last_one = max([stock.last_one, *(one.id for one in body.one_time_pre_keys)])
        stock.last_kem = max([stock.last_kem, *(kem.id for kem in body.one_time_kem_keys)])
        return keys.KeyStock(len(stock.ones), len(stock.kems))

    def status(self, ref: DeviceRef) -> keys.KeyStatus:
        stock = self.stocks.get(ref)
        if stock is None or stock.signed is None or stock.last_resort is None:
            return keys.KeyStatus()
        return keys.KeyStatus(
            stock.identity,
            stock.signed.id,
            stock.last_resort.id,
            len(stock.ones),
            len(stock.kems),
            stock.last_one,
            stock.last_kem,
            ref in self.current(ref.user_id),
        )

    def claim(self, body: keys.ClaimKeys) -> keys.Claimed:
        items, missing = [], []
        for name in body.devices:
            stock = self.stocks.get(DeviceRef(name.user_id, name.device_id))
            if stock is None or stock.signed is None or stock.last_resort is None:
                missing.append(name)
                continue
            one = stock.ones.pop(0) if stock.ones else None
            kem = stock.kems.pop(0) if stock.kems else None
            given = kem or stock.last_resort
            claimed = keys.ClaimedKemKey(given.id, given.key, given.signature, kem is None)
            items.append(keys.Bundle(name.user_id, name.device_id, stock.identity, stock.signed, claimed, one))
        return keys.Claimed(tuple(items), tuple(missing))

    def put_list(self, user_id: str, body: keys.PutDeviceList) -> keys.ListVersion:
        payload = base64url.decode(body.payload)
        found = keys.decode_list_payload(payload)
        AccountPublicKey(base64url.decode(found.account_key)).verify(LABEL + payload, base64url.decode(body.signature))
        former = self.lists.get(user_id)
        if found.user_id != user_id or found.version != (former[1].version + 1 if former else 1):
            raise Refusal("conflict")
        if former and former[1].account_key != found.account_key and not (body.reset and body.password == "secret"):
            raise Refusal("forbidden")
        for one in found.devices:
            stock = self.stocks.get(DeviceRef(user_id, one.device_id))
            if stock is None or stock.identity != one.identity_key:
                raise Refusal("mismatched_devices")
        self.lists[user_id] = (keys.SignedList(body.payload, body.signature), found)
        if former:
            for one in former[1].devices:
                if one.device_id not in {kept.device_id for kept in found.devices}:
                    self.drop(DeviceRef(user_id, one.device_id))
        return keys.ListVersion(found.version)

    def drop(self, ref: DeviceRef) -> None:
        """Revoke a device."""
        self.devices[ref.user_id].discard(ref.device_id)
        self.stocks.pop(ref, None)
        self.queues.pop(ref, None)

    def current(self, user_id: str) -> dict[DeviceRef, str]:
        """Return a user's current devices with their identity keys."""
        known = self.lists.get(user_id)
        if known is None:
            return {}
        refs = {DeviceRef(user_id, one.device_id): one.identity_key for one in known[1].devices}
        return {ref: key for ref, key in refs.items() if ref in self.stocks}

    def fetch_lists(self, body: keys.AskLists) -> keys.DeviceLists:
        items = []
        for asked in body.users:
            known = self.lists.get(asked.user_id)
            unchanged = known is not None and known[1].version == asked.version
            names = tuple(sorted(ref.device_id for ref in self.current(asked.user_id)))
            signed = None if known is None or unchanged else known[0]
            items.append(keys.UserDevices(asked.user_id, signed, False, names, unchanged))
        return keys.DeviceLists(tuple(items))

    # --- groups

    def users_of(self, conversation_id: str) -> set[str]:
        if is_direct(conversation_id):
            return set(direct_members(conversation_id))
        return set(self.members[conversation_id])

    def hash_of(self, conversation_id: str) -> str:
        everyone = [one for user in self.members[conversation_id] for one in self.current(user).items()]
        return device_list_hash(everyone)

    def group(self, user_id: str, conversation_id: str) -> Group:
        members = self.members[conversation_id]
        if user_id not in members:
            raise Refusal("not_a_member")
        listed = tuple(
            GroupMember(user, Role.MEMBER, joined, self.lists[user][1].version if user in self.lists else 0)
            for user, joined in members.items()
        )
        return Group(
            conversation_id,
            "group",
            next(iter(members)),
            listed,
            self.rosters[conversation_id],
            0,
            (),
            self.hash_of(conversation_id),
        )

    def create(self, conversation_id: str, users: list[str]) -> None:
        self.members[conversation_id] = dict.fromkeys(users, 1)
        self.rosters[conversation_id] = 1
        self._system(conversation_id, {"event": "group_created", "members": users})

    def join(self, conversation_id: str, user_id: str) -> None:
        number = self._system(conversation_id, {"event": "member_added", "userIds": [user_id]})
        self.members[conversation_id][user_id] = number
        self.rosters[conversation_id] += 1

    def leave(self, conversation_id: str, user_id: str) -> None:
        number = self._system(conversation_id, {"event": "member_removed", "userIds": [user_id]})
        self.spans[conversation_id].append((user_id, self.members[conversation_id].pop(user_id), number))
        self.rosters[conversation_id] += 1

    def _system(self, conversation_id: str, content: dict[str, Any]) -> int:
        number = len(self.timelines[conversation_id]) + 1
        text = msgspec.json.encode(content).decode()
        self.timelines[conversation_id].append(
            Stored(number, DeviceRef("", ""), "", self.now, "system", text, {}, None, None, None, frozenset())
        )
        return number

    def may_read(self, conversation_id: str, user_id: str, number: int) -> bool:
        """Tell whether a user was to see a number."""
        if is_direct(conversation_id):
            return user_id in direct_members(conversation_id)
        joined = self.members[conversation_id].get(user_id)
        if joined is not None and number >= joined:
            return True
        return any(user == user_id and first <= number <= last for user, first, last in self.spans[conversation_id])

    # --- messages

    def send(self, ref: DeviceRef, frame: frames.Send) -> Stored | frames.Error:
        """Store a message, or say why not."""
        conversation_id = frame.conversation_id or ""
        known = self.dedup.get((conversation_id, ref, frame.client_message_id))
        if known is not None:
            return known
        users = self.users_of(conversation_id)
        current = {one: key for user in sorted(users) for one, key in self.current(user).items()}
        if ref not in current:
            return frames.Error("forbidden" if ref.user_id in users else "not_a_member", "", retryable=False)
        envelopes = {DeviceRef(one.user_id, one.device_id): one.content for one in frame.envelopes}
        if is_direct(conversation_id):
            expected = set(current) - {ref}
            if set(envelopes) != expected:
                missing = tuple({"userId": u, "deviceId": d} for u, d in expected - set(envelopes))
                extra = tuple({"userId": u, "deviceId": d} for u, d in set(envelopes) - expected)
                return frames.Error("mismatched_devices", "", retryable=False, missing=missing, extra=extra)
        elif (frame.roster_version, frame.device_list_hash) != (
            self.rosters[conversation_id],
            self.hash_of(conversation_id),
        ):
            return frames.Error("mismatched_devices", "", retryable=False)
        stored = Stored(
            len(self.timelines[conversation_id]) + 1,
            ref,
            frame.client_message_id,
            self.now,
            "encrypted",
            msgspec.json.decode(frame.content),
            envelopes,
            frame.group_envelope,
            frame.roster_version,
            frame.device_list_hash,
            frozenset(current),
        )
        self.timelines[conversation_id].append(stored)
        self.dedup[conversation_id, ref, frame.client_message_id] = stored
        return stored

    def frame_for(self, ref: DeviceRef, conversation_id: str, stored: Stored) -> frames.MessageFrame:
        """Return what a device gets of a message."""
        system = stored.content_type == "system"
        content = stored.content.encode() if system else msgspec.json.encode(stored.content)
        return frames.MessageFrame(
            f"{stored.number}",
            conversation_id,
            stored.number,
            *stored.sender,
            stored.client_message_id,
            stored.timestamp,
            stored.content_type,
            msgspec.Raw(content),
            envelope=stored.envelopes.get(ref),
            group_envelope=stored.group_envelope,
            roster_version=stored.roster_version,
            device_list_hash=stored.hash,
        )

    def to_device(self, ref: DeviceRef, frame: frames.ToDeviceSend) -> None:
        """Queue blobs; the whole batch or nothing."""
        assert 1 <= len(frame.messages) <= 100
        assert len(msgspec.json.encode(frame)) <= 65_536
        for item in frame.messages:
            assert len(item.content) <= 16_384
        for item in frame.messages:
            to = DeviceRef(item.user_id, item.device_id)
            if item.device_id in self.devices[item.user_id]:
                self.blobs += 1
                self.queues[to].append(frames.ToDevice(self.blobs, *ref, item.content))
