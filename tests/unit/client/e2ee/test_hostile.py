"""What a server, or somebody beside it, tries on an agent: it believes nothing that is not signed."""

import msgspec
import pytest

from cooee.client.e2ee import controls, healing, lists, pairwise, wants
from cooee.client.e2ee.results import NotYet, Refused, Sealed, Unreadable
from cooee.client.e2ee.step import Flight
from cooee.client.e2ee.wants import FoundKey
from cooee.crypto import device_list
from cooee.crypto.content import ContentKey, envelope_payload, seal_body
from cooee.crypto.device_list import DeviceList
from cooee.crypto.sender_key import OwnSenderKey
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.protocol import frames, keys
from cooee.protocol.body import (
    ArchiveControl,
    LinkedControl,
    MessageRef,
    OwnContact,
    OwnControl,
    OwnConversation,
    SenderKeyControl,
    SessionControl,
    encode_control,
)
from tests.fakes.e2ee_scene import frame_of, letter, on, quiet, run, talk, texts, view
from tests.fakes.e2ee_world import Box, World

GROUP = "group:g"


@pytest.fixture
def world() -> World:
    return quiet(3)


def answer(box: Box, item: keys.UserDevices) -> None:
    """Let the server answer with this when a device asks for lists."""
    on(box, lambda draft: draft.look_up(item.user_id))
    [want] = [one for one in box.agent.wants(box.server.now) if type(one).__name__ == "FetchLists"]
    assert box.step(lambda draft: draft.got(want, keys.DeviceLists((item,))))


def seal(box: Box, name: str, ident: str = "m9") -> Sealed | Refused:
    """Seal a new message of a device."""
    found: Sealed | Refused = on(box, lambda draft: draft.seal(letter_of(draft, name, ident)))
    return found


def letter_of(draft: object, name: str, ident: str) -> object:
    return draft.enclose(name, ident, b"{}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("unchanged", [True, False])
def test_a_person_does_not_become_a_bot_because_the_server_says_so(world: World, unchanged: bool) -> None:
    one, two = world.boxes[:2]
    name = talk(world, one, two)
    signed = None if unchanged else world.server.lists[two.me.user_id][0]
    answer(one, keys.UserDevices(two.me.user_id, signed, True, (two.me.device_id,), unchanged))
    assert not one.agent.person(two.me.user_id).bot
    assert isinstance(seal(one, name), Sealed)


def test_a_person_with_devices_does_not_lose_them_because_the_server_says_so(world: World) -> None:
    one, two = world.boxes[:2]
    name = talk(world, one, two)
    answer(one, keys.UserDevices(two.me.user_id, None, True, ()))
    sealed = seal(one, name)
    assert isinstance(sealed, Sealed)
    assert [(item.user_id, item.device_id) for item in sealed.envelopes] == [two.me]


def test_a_device_that_is_named_often_gets_one_envelope_and_one_that_is_not_listed_none(world: World) -> None:
    one, two = world.boxes[:2]
    name = talk(world, one, two)
    item = keys.UserDevices(two.me.user_id, None, False, (two.me.device_id, "evil", two.me.device_id), True)
    answer(one, item)
    sealed = seal(one, name)
    assert isinstance(sealed, Sealed)
    assert [(item.user_id, item.device_id) for item in sealed.envelopes] == [two.me]


def test_nobody_writes_into_a_chat_of_others(world: World) -> None:
    one, two, third = world.boxes[:3]
    name = talk(world, third, one)
    frame = frame_of(world, one, name)
    chat = direct_conversation_id(one.me.user_id, two.me.user_id)
    key = ContentKey.generate(world.chance.randbytes)
    content = seal_body(key, b"{}", chat, third.me, "m9", world.chance.randbytes)
    payload = envelope_payload(key, content)
    envelope = on(third, lambda draft: _encrypt(draft.step, one.me, payload))
    moved = msgspec.structs.replace(
        frame,
        conversation_id=chat,
        sequence_number=1,
        client_message_id="m9",
        content=msgspec.Raw(msgspec.json.encode(base64url.encode(content))),
        envelope=envelope,
    )
    got = on(one, lambda draft: draft.open(moved))
    assert isinstance(got, Unreadable)
    assert got.problem == "refused"


def _encrypt(step: object, to: DeviceRef, payload: bytes) -> str:
    return pairwise.encrypt(step, to, payload)  # type: ignore[arg-type]


def test_whom_the_server_adds_has_not_been_there_before(world: World) -> None:
    one, two, third = world.boxes[:3]
    world.server.create(GROUP, [one.me.user_id, two.me.user_id])
    run(world)
    for _ in range(2):
        one.write(GROUP)
        run(world)
    number = world.server.timelines[GROUP][-1].number
    assert one.agent.knows_sender(frame_of(world, one, GROUP))
    world.server.members[GROUP][third.me.user_id] = 1
    world.server.rosters[GROUP] += 1
    on(one, lambda draft: draft.roster_changed(GROUP))
    talk(world, one, third)
    stored = world.server.timelines[GROUP][-1]
    item = MessageRef(
        conversation_id=GROUP,
        sequence_number=number,
        sender_id=one.me.user_id,
        sender_device_id=one.me.device_id,
        client_message_id=stored.client_message_id,
    )
    step = view(one)
    group = step.group(GROUP)
    assert group is not None
    assert third.me.user_id in group.members
    assert healing.entitled(step, two.me, FoundKey(item, number, stored.timestamp, bytes(32)))
    assert not healing.entitled(step, third.me, FoundKey(item, number, stored.timestamp, bytes(32)))
    assert healing.entitled(step, third.me, FoundKey(item, number + 1, stored.timestamp, bytes(32)))


def test_endless_mismatches_are_waited_for_ever_longer(world: World) -> None:
    one, two = world.boxes[:2]
    name = talk(world, one, two)
    sealed = letter(one, name)
    made = 0
    for _ in range(600):
        if isinstance(on(one, lambda draft: draft.seal(sealed)), Sealed):
            made += 1
            error = frames.Error("mismatched_devices", "", retryable=False)
            on(one, lambda draft, error=error: draft.mismatched(name, error))
        run(world, 1, 1_000)
    assert 3 < made < 20


def test_bundles_that_nobody_asked_for_are_not_kept(world: World) -> None:
    one, two, third = world.boxes[:3]
    world.server.drop(two.me)
    memory = one.agent._memory
    on(one, lambda draft: letter_of(draft, direct_conversation_id(one.me.user_id, third.me.user_id), "m1"))
    item = world.server.claim(keys.ClaimKeys((keys.DeviceName(*third.me),))).items[0]
    claim = wants.Claim(number=memory.next_number(), body=keys.ClaimKeys((keys.DeviceName(*two.me),)))
    memory.flights["claim",] = Flight(claim, world.server.now)
    made_up = msgspec.structs.replace(item, device_id="other")
    assert one.step(lambda draft: draft.got(claim, keys.Claimed((item, made_up), (keys.DeviceName(*third.me),))))
    assert memory.bundles == {}
    assert memory.barred == {}


def test_a_group_is_encrypted_for_no_device_that_no_account_key_signed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.boxes[:2]
    world.server.create(GROUP, [one.me.user_id, two.me.user_id])
    run(world)
    world.server.devices["spy"].add("d1")
    world.server.members[GROUP]["spy"] = 1
    world.server.rosters[GROUP] += 1
    honest = world.server.hash_of(GROUP)
    monkeypatch.setattr(world.server, "hash_of", lambda _: "A" * 43)
    on(one, lambda draft: draft.roster_changed(GROUP))
    sealed = letter(one, GROUP)
    found: Sealed | NotYet = NotYet("group")
    for _ in range(40):
        found = on(one, lambda draft: draft.seal(sealed))
        if isinstance(found, Sealed):
            break
        run(world, 2)
    assert isinstance(found, Sealed)
    assert found.device_list_hash == honest
    holders = view(one).holders(GROUP)
    assert holders is not None
    assert list(holders.devices) == [f"{two.me.user_id}/{two.me.device_id}"]


def test_a_revoked_device_gains_nothing_by_the_clock_of_who_revoked_it(world: World) -> None:
    one, two = world.boxes[:2]
    talk(world, two, one)
    account = on(two, lambda draft: draft.step.account())
    far = world.server.now + 10**10
    empty = DeviceList(two.me.user_id, 2, far, account.public(), ())
    signed = device_list.sign(empty, account)
    item = keys.SignedList(base64url.encode(signed.payload), base64url.encode(signed.signature))
    answer(one, keys.UserDevices(two.me.user_id, item, False, ()))
    step = view(one)
    assert lists.identity_at(step, two.me, world.server.now) is not None
    assert lists.identity_at(step, two.me, world.server.now + lists.SKEW_MS + 1_000) is None


def test_one_device_fills_nobodys_store_with_sender_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "GROUPS_PER_DEVICE", 3)
    one, two = world.boxes[:2]
    talk(world, one, two)
    for number in range(8):
        name = f"group:g{number}"
        chain = OwnSenderKey.generate(name, world.server.now, world.chance.randbytes)
        text = base64url.encode(chain.distribution())
        told = encode_control(SenderKeyControl(conversation_id=name, distribution=text))
        content = on(one, lambda draft, told=told: _encrypt(draft.step, two.me, told))
        blob = frames.ToDevice(1_000 + number, *one.me, content)
        on(two, lambda draft, blob=blob: draft.to_device(blob))
        if number == 1:
            two.start()
    assert view(two).count("peer") == 3
    assert two.tallies()["sender_keys_dropped"] == 5


def test_three_thousand_blobs_after_a_long_time_are_all_read(world: World) -> None:
    one, two = world.boxes[:2]
    talk(world, one, two)
    told = encode_control(SessionControl())
    before = two.tallies()["controls_read"]
    blobs = []
    for number in range(3_000):
        content = on(one, lambda draft: _encrypt(draft.step, two.me, told))
        blobs.append(frames.ToDevice(1_000 + number, *one.me, content))
    for at in range(0, len(blobs), 100):
        on(two, lambda draft, at=at: [draft.to_device(blob) for blob in blobs[at : at + 100]])
    assert two.tallies()["controls_read"] == before + 3_000
    talk(world, one, two)
    assert texts(two, direct_conversation_id(one.me.user_id, two.me.user_id))[-1]


def test_what_is_for_own_devices_is_taken_from_no_contact(world: World) -> None:
    one, two, third = world.boxes[:3]
    talk(world, one, two)
    key = base64url.encode(bytes(32))
    stranger = OwnContact(user_id=third.me.user_id, account_key=key, verified=True)
    archive = ArchiveControl(media_key="A" * 22, key=key, digest=key, size=9)
    for control in (
        OwnControl(contacts=(stranger,), conversations=(OwnConversation(conversation_id=GROUP, mode="plain"),)),
        archive,
        LinkedControl(account_key=key, proof=key),
    ):
        content = on(one, lambda draft, control=control: _encrypt(draft.step, two.me, encode_control(control)))
        before = dict(two.records)
        draft = two.agent.draft(world.server.now)
        draft.to_device(frames.ToDevice(9, *one.me, content))
        assert {kind for kind, _ in draft.records()} <= {"session"}
        assert draft.notices == []
        assert dict(two.records) == before
    assert two.tallies()["controls_ignored"] == 3
