"""Encrypted messages are taken for all current devices and no other, and plain ones never notice."""

import asyncio
from hashlib import sha256

import msgspec
import pytest

from cooee.domain.device_hash import device_list_hash
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Privacy
from cooee.ports.media import MediaObject
from cooee.protocol import frames
from cooee.services.device_lists import CACHE_S
from cooee.services.encrypted import MAX_NAMED
from tests.fakes.device_keys import identity
from tests.fakes.encrypted_house import EncryptedHouse

ANN, BOB = DeviceRef("ann", "d1"), DeviceRef("bob", "d1")
CHAT = "dm:ann:bob"
ALL = (("ann", "d2"), ("bob", "d1"))
"""Whom a message of ann's d1 to bob is for."""


@pytest.fixture
async def scene() -> EncryptedHouse:
    """Return ann with two linked devices and one that is not, and bob with one of each."""
    scene = EncryptedHouse()
    await scene.linked("ann", devices=2, unlinked=1)
    await scene.linked("bob", devices=1, unlinked=1)
    return scene


async def group_of(scene: EncryptedHouse, *others: str) -> str:
    """Let ann found a group."""
    return (await scene.house.groups.create(ANN, "Tea", others)).group.conversation_id


def hash_of(*devices: str) -> str:
    """Return the hash over devices that are called ``user/device``."""
    refs = [DeviceRef(*device.split("/")) for device in devices]
    return device_list_hash([(ref, identity(ref.device_id)) for ref in refs])


def to_group(scene: EncryptedHouse, group: str, version: int, told: str, **fields: object) -> frames.Send:
    """Return an encrypted message to a group."""
    return scene.frame(group, group_envelope="AQID", roster_version=version, device_list_hash=told, **fields)


# --- direct chats


async def test_a_message_for_all_current_devices_is_taken_with_its_envelopes(scene: EncryptedHouse) -> None:
    ack = await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    assert ack.sequence_number == 1
    stored = await scene.store.timeline.find(CHAT, 1)
    assert stored is not None
    assert stored.content_type == "encrypted"
    assert {(each.user_id, each.device_id) for each in stored.envelopes} == set(ALL)


@pytest.mark.parametrize(
    ("devices", "missing", "extra"),
    [
        ((), {"ann/d2", "bob/d1"}, set()),
        ((("bob", "d1"),), {"ann/d2"}, set()),
        ((*ALL, ("bob", "d2")), set(), {"bob/d2"}),
        ((*ALL, ("ann", "d1")), set(), {"ann/d1"}),
        ((*ALL, ("eve", "d1"), ("bob", "nope")), set(), {"eve/d1", "bob/nope"}),
        ((("ann", "d3"), ("bob", "d2")), {"ann/d2", "bob/d1"}, {"ann/d3", "bob/d2"}),
    ],
)
async def test_any_other_choice_of_devices_is_refused_by_name(
    scene: EncryptedHouse, devices: tuple[tuple[str, str], ...], missing: set[str], extra: set[str]
) -> None:
    assert await scene.mismatch(ANN, scene.direct("ann", "bob", *devices)) == (missing, extra)
    assert (await scene.store.timeline.head(CHAT)).last == 0


async def test_an_unlinked_device_sends_nothing(scene: EncryptedHouse) -> None:
    """Who has only the password gets no envelope, and speaks for nobody."""
    thief = DeviceRef("ann", "d3")
    devices = (("ann", "d1"), ("ann", "d2"), ("bob", "d1"))
    assert (await scene.refusal(thief, scene.direct("ann", "bob", *devices))).code is ErrorCode.FORBIDDEN
    await scene.publish(thief)
    assert (await scene.refusal(thief, scene.direct("ann", "bob", *devices))).code is ErrorCode.FORBIDDEN
    assert await scene.mismatch(BOB, scene.direct("ann", "bob", *devices[:2], ("ann", "d3"))) == (set(), {"ann/d3"})


async def test_the_own_chat_is_for_the_other_own_devices(scene: EncryptedHouse) -> None:
    assert (await scene.tell(ANN, scene.direct("ann", "ann", ("ann", "d2")))).sequence_number == 1
    assert await scene.mismatch(ANN, scene.direct("ann", "ann")) == ({"ann/d2"}, set())


async def test_to_who_has_no_device_yet_a_message_goes_without_envelopes(scene: EncryptedHouse) -> None:
    await scene.user("new")
    assert (await scene.tell(BOB, scene.direct("bob", "new"))).sequence_number == 1
    await scene.publish(DeviceRef("new", "d1"))
    assert (await scene.tell(BOB, scene.direct("bob", "new"))).sequence_number == 2
    await scene.put_list("new", "d1")
    assert await scene.mismatch(BOB, scene.direct("bob", "new")) == ({"new/d1"}, set())


async def test_a_change_of_devices_counts_at_once(scene: EncryptedHouse) -> None:
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    await scene.publish(DeviceRef("bob", "d2"))
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    await scene.put_list("bob", "d1", "d2")
    assert await scene.mismatch(ANN, scene.direct("ann", "bob", *ALL)) == ({"bob/d2"}, set())
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL, ("bob", "d2")))
    await scene.house.devices.revoke(BOB, "d1")
    assert await scene.mismatch(ANN, scene.direct("ann", "bob", *ALL, ("bob", "d2"))) == (set(), {"bob/d1"})
    await scene.tell(ANN, scene.direct("ann", "bob", ("ann", "d2"), ("bob", "d2")))


async def test_a_change_elsewhere_counts_within_two_seconds(scene: EncryptedHouse) -> None:
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    await scene.store.devices.revoke([DeviceRef("ann", "d2")])
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    scene.clock.advance(CACHE_S + 0.01)
    assert await scene.mismatch(ANN, scene.direct("ann", "bob", *ALL)) == (set(), {"ann/d2"})


async def test_a_re_send_is_answered_with_its_place_whatever_changed_since(scene: EncryptedHouse) -> None:
    first = await scene.tell(ANN, scene.direct("ann", "bob", *ALL, name="same"))
    await scene.publish(DeviceRef("bob", "d2"))
    await scene.put_list("bob", "d1", "d2")
    again = await scene.tell(ANN, scene.direct("ann", "bob", *ALL, name="same"))
    assert (again.message_id, again.sequence_number) == (first.message_id, first.sequence_number)
    await scene.store.devices.revoke([ANN])
    scene.clock.advance(CACHE_S + 0.01)
    again = await scene.tell(ANN, scene.direct("ann", "bob", *ALL, name="same"))
    assert again.sequence_number == first.sequence_number
    assert (await scene.store.timeline.head(CHAT)).last == 1


async def test_who_may_not_write_learns_no_devices(scene: EncryptedHouse) -> None:
    await scene.linked("eve")
    await scene.store.contacts.set_block("bob", "eve", present=True)
    eve = DeviceRef("eve", "d1")
    assert (await scene.refusal(eve, scene.direct("eve", "bob"))).code is ErrorCode.BLOCKED
    for code, frame in (
        (ErrorCode.NOT_A_MEMBER, scene.direct("ann", "bob")),
        (ErrorCode.NOT_FOUND, scene.direct("eve", "nobody")),
        (ErrorCode.NOT_A_MEMBER, to_group(scene, "group:nowhere", 1, hash_of())),
        (ErrorCode.NOT_A_MEMBER, to_group(scene, await group_of(scene, "bob"), 1, hash_of())),
    ):
        refusal = await scene.refusal(eve, frame)
        assert (refusal.code, refusal.extra) == (code, {})


async def test_the_devices_that_a_refusal_names_are_bounded() -> None:
    scene = EncryptedHouse(devices_per_user=MAX_NAMED)
    await scene.linked("ann")
    await scene.linked("bob")
    many = [("bob", f"x{number}") for number in range(2 * MAX_NAMED)]
    missing, extra = await scene.mismatch(ANN, scene.direct("ann", "bob", *many))
    assert (missing, len(extra)) == ({"bob/d1"}, MAX_NAMED)


# --- groups


async def test_a_group_message_names_roster_and_devices_as_they_are(scene: EncryptedHouse) -> None:
    group = await group_of(scene, "bob")
    told = hash_of("ann/d1", "ann/d2", "bob/d1")
    ack = await scene.tell(ANN, to_group(scene, group, 1, told))
    assert ack.sequence_number == 2
    for version, other in ((2, told), (1, hash_of("ann/d1", "bob/d1")), (0, hash_of())):
        refusal = await scene.refusal(ANN, to_group(scene, group, version, other))
        assert refusal.code is ErrorCode.MISMATCHED_DEVICES
        assert refusal.extra == {"roster_version": 1, "device_list_hash": told}
    thief = await scene.refusal(DeviceRef("ann", "d3"), to_group(scene, group, 1, told))
    assert (thief.code, thief.extra) == (ErrorCode.FORBIDDEN, {})


async def test_a_change_of_a_roster_or_a_list_counts_at_once(scene: EncryptedHouse) -> None:
    group = await group_of(scene, "bob")
    three = hash_of("ann/d1", "ann/d2", "bob/d1")
    await scene.tell(ANN, to_group(scene, group, 1, three))
    await scene.linked("carol")
    await scene.tell(ANN, to_group(scene, group, 1, three))
    await scene.house.groups.add_members(ANN, group, ["carol"])
    four = hash_of("ann/d1", "ann/d2", "bob/d1", "carol/d1")
    refusal = await scene.refusal(ANN, to_group(scene, group, 1, three))
    assert refusal.extra == {"roster_version": 2, "device_list_hash": four}
    await scene.tell(ANN, to_group(scene, group, 2, four))
    await scene.house.devices.revoke(ANN, "d2")
    refusal = await scene.refusal(ANN, to_group(scene, group, 2, four))
    assert refusal.extra["device_list_hash"] == hash_of("ann/d1", "bob/d1", "carol/d1")
    await scene.house.groups.remove_member(ANN, group, "carol")
    await scene.tell(ANN, to_group(scene, group, 3, hash_of("ann/d1", "bob/d1")))


async def test_messages_are_numbered_in_the_order_sent_whatever_must_be_looked_up(scene: EncryptedHouse) -> None:
    answers: list[frames.ServerFrame] = []
    for number in range(6):
        if number % 2:
            frame = frames.Send(f"n{number}", "text", msgspec.Raw(b'"hi"'), CHAT)
        else:
            frame = scene.direct("ann", "bob", *ALL, name=f"n{number}")
        scene.house.messages.send(ANN, frame, answers.append)
        if number == 3:
            scene.house.device_lists.forget(("bob",))
    for _ in range(200):
        await asyncio.sleep(0)
    acks = {each.client_message_id: each.sequence_number for each in answers if isinstance(each, frames.Ack)}
    assert acks == {f"n{number}": number + 1 for number in range(6)}
    assert not scene.house.line.waiting


async def test_what_is_remembered_spares_the_store_and_plain_messages_never_ask(scene: EncryptedHouse) -> None:
    asked: list[tuple[str, ...]] = []
    real = scene.store.device_keys.current

    async def current(user_ids: tuple[str, ...]) -> object:
        asked.append(tuple(user_ids))
        return await real(user_ids)

    scene.house.device_lists._keys.current = current  # type: ignore[assignment,method-assign]
    await scene.send(ANN, CHAT, "plain")
    assert asked == []
    for _ in range(5):
        await scene.tell(ANN, scene.direct("ann", "bob", *ALL))
    assert asked == [("ann", "bob")]


# --- previews and files


async def test_a_preview_takes_the_leave_of_all_others() -> None:
    scene = EncryptedHouse()
    await scene.linked("ann", privacy=Privacy(encrypted_previews=False))
    await scene.linked("bob", privacy=Privacy(encrypted_previews=True))
    await scene.linked("carol")
    preview = {"notification_preview": "hi"}
    assert (await scene.tell(ANN, scene.direct("ann", "bob", ("bob", "d1"), **preview))).sequence_number == 1
    refusal = await scene.refusal(BOB, scene.direct("ann", "bob", ("ann", "d1"), **preview))
    assert refusal.code is ErrorCode.FORBIDDEN
    group = await group_of(scene, "bob", "carol")
    told = hash_of("ann/d1", "bob/d1", "carol/d1")
    refusal = await scene.refusal(ANN, to_group(scene, group, 1, told, **preview))
    assert refusal.code is ErrorCode.FORBIDDEN
    await scene.house.groups.remove_member(ANN, group, "carol")
    await scene.tell(ANN, to_group(scene, group, 2, hash_of("ann/d1", "bob/d1"), **preview))


async def file_of(scene: EncryptedHouse, owner: str, key: str, *, encrypted: bool = True) -> str:
    """Upload a file."""
    content = key.encode()
    kind = "application/octet-stream" if encrypted else "text/plain"
    scene.files.put(key, content, kind)
    media = MediaObject(key, owner, len(content), sha256(content).digest(), kind, 0, encrypted=encrypted)
    await scene.store.media.create(media, 10**15, 10**9)
    return key


async def test_files_go_with_the_message_and_members_alone_see_them(scene: EncryptedHouse) -> None:
    key = await file_of(scene, "ann", "k" * 22)
    await scene.linked("eve")
    assert await scene.store.media.find(key, "bob") is None
    await scene.tell(ANN, scene.direct("ann", "bob", *ALL, media_keys=(key,)))
    assert await scene.store.media.find(key, "bob") is not None
    assert await scene.store.media.find(key, "eve") is None
    assert await scene.store.media.holders(key, 5) == [(CHAT, 1)]


async def test_a_file_that_is_not_there_or_not_encrypted_or_anothers_is_refused(scene: EncryptedHouse) -> None:
    plain = await file_of(scene, "ann", "p" * 22, encrypted=False)
    bobs = await file_of(scene, "bob", "b" * 22)
    for key, code in ((plain, ErrorCode.BAD_FRAME), (bobs, ErrorCode.NOT_FOUND), ("n" * 22, ErrorCode.NOT_FOUND)):
        refusal = await scene.refusal(ANN, scene.direct("ann", "bob", *ALL, media_keys=(key,)))
        assert refusal.code is code
    assert (await scene.store.timeline.head(CHAT)).last == 0


async def test_refusals_are_counted(scene: EncryptedHouse) -> None:
    await scene.mismatch(ANN, scene.direct("ann", "bob"))
    with pytest.raises(CooeeError):
        await scene.tell(DeviceRef("ann", "d3"), scene.direct("ann", "bob"))
    values = dict(scene.house.values())
    assert values["cooee_encrypted_refused"] == {"mismatched_devices": 1.0, "forbidden": 1.0}
