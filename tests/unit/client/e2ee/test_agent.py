"""Drafts are dropped without a trace or installed once; wants and frames are given once; a backup begins anew."""

import msgspec
import pytest

from cooee.client.e2ee import agent as agents
from cooee.client.e2ee import kinds, moved, stock
from cooee.client.e2ee.agent import Agent
from cooee.client.e2ee.results import MessageKey, NotYet, Opened, Refused, Sealed
from cooee.client.e2ee.step import FLIGHT_MS, LONGEST_RETRY_MS, wait_ms
from cooee.client.e2ee.wants import FetchStatus, FoundKey, ImportArchive, PublishKeys, PutDeviceList, StoredArchive
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames, keys
from cooee.protocol.body import MessageRef
from tests.fakes.e2ee_scene import letter, on, quiet, run, talk, texts, view
from tests.fakes.e2ee_world import Box, World


@pytest.fixture
def world() -> World:
    return quiet(2)


def begun(world: World) -> Agent:
    agent = Agent(DeviceRef("new", "d"), {}, world.chance.randbytes)
    draft = agent.draft(0)
    draft.work()
    draft.records()
    draft.install()
    return agent


def test_a_dropped_draft_has_changed_nothing(world: World) -> None:
    one, other = world.boxes
    name = talk(world, one, other)
    made = letter(one, name)
    before = view(one).session(other.me)
    dropped = one.agent.draft(world.server.now)
    assert isinstance(dropped.seal(made), Sealed)
    assert dropped.records()
    assert view(one).session(other.me) == before
    with pytest.raises(RuntimeError):
        dropped.install()


def test_a_draft_is_installed_once(world: World) -> None:
    agent = world.boxes[0].agent
    draft = agent.draft(world.server.now)
    draft.records()
    draft.install()
    with pytest.raises(RuntimeError):
        draft.install()


def test_what_is_installed_is_what_was_stored(world: World) -> None:
    one, other = world.boxes
    talk(world, one, other)
    again = Agent(one.me, one.records, world.chance.randbytes)
    assert again.diagnostics(0)._replace(counts={}) == one.agent.diagnostics(0)._replace(counts={})
    assert again.person(other.me.user_id) == one.agent.person(other.me.user_id)
    assert view(one).session(other.me) == again.draft(0).step.session(other.me)


def test_an_empty_draft_stores_nothing(world: World) -> None:
    draft = world.boxes[0].agent.draft(world.server.now)
    assert draft.is_empty
    assert draft.records() == {}
    draft.forget("dm:user0:user1", 3)
    draft.accept_key("user1")
    assert draft.is_empty


def test_a_want_is_given_once_and_again_after_a_failure_or_when_nobody_answers(world: World) -> None:
    agent = begun(world)
    first = agent.wants(0)
    assert {type(want) for want in first} == {FetchStatus, PublishKeys}
    agent.reconnected(0)
    assert agent.wants(0) == []
    assert agent.wants(FLIGHT_MS - 1) == []
    second = agent.wants(FLIGHT_MS)
    assert {type(want) for want in second} == {FetchStatus, PublishKeys}
    assert not {want.number for want in first} & {want.number for want in second}
    draft = agent.draft(FLIGHT_MS)
    draft.failed(second[0], "unreachable")
    draft.install()
    assert agent.wants(FLIGHT_MS) == []
    assert agent.next_due(FLIGHT_MS) == FLIGHT_MS + 1_000
    assert len(agent.wants(FLIGHT_MS + 1_000)) == 1


def test_an_answer_that_comes_after_the_want_was_given_again_is_ignored(world: World) -> None:
    agent = begun(world)
    old = next(want for want in agent.wants(0) if isinstance(want, FetchStatus))
    assert agent.wants(FLIGHT_MS)
    draft = agent.draft(0)
    draft.got(old, keys.KeyStatus())
    assert draft.is_empty


def test_a_dropped_answer_may_be_given_again(world: World) -> None:
    agent = begun(world)
    want = next(want for want in agent.wants(0) if isinstance(want, FetchStatus))
    agent.draft(0).got(want, keys.KeyStatus())
    draft = agent.draft(0)
    draft.got(want, keys.KeyStatus())
    draft.records()
    draft.install()
    assert draft.step.device.lack == stock.STOCK


@pytest.mark.parametrize(("failures", "wait"), [(0, 1_000), (1, 2_000), (8, 256_000), (9, 300_000), (999, 300_000)])
def test_retries_come_later_and_later(failures: int, wait: int) -> None:
    assert wait_ms(failures) == wait <= LONGEST_RETRY_MS


def test_at_most_so_many_wants_and_frames_are_under_way(world: World) -> None:
    one = world.boxes[0]
    one.online = False
    for number in range(20):
        on(one, lambda draft, number: draft.roster_changed(f"group:g{number}"), number)
    total = 0
    for _ in range(3):
        total += len(one.agent.wants(world.server.now))
    assert total <= agents.WANTS_AT_ONCE


def test_a_bot_is_not_written_to_encrypted(world: World) -> None:
    one = world.boxes[0]
    item = keys.UserDevices("bot", None, True, ())
    on(one, lambda draft: draft.look_up("bot"))
    want = next(iter(one.agent.wants(world.server.now)))
    on(one, lambda draft: draft.got(want, keys.DeviceLists((item,))))
    made = letter(one, "dm:bot:user0")
    refused = on(one, lambda draft: draft.seal(made))
    assert isinstance(refused, Refused)
    assert refused.code == "not_encrypted"


def test_who_has_no_device_yet_gets_it_when_he_has_one(world: World) -> None:
    one = world.boxes[0]
    name = "dm:nobody:user0"
    one.write(name)
    run(world)
    assert world.server.timelines[name][0].envelopes == {}
    world.users.append("nobody")
    box = world.log_in("nobody")
    box.positions = {}
    world.settle()
    assert texts(box, name) == [True]


def test_a_group_that_one_is_not_in_is_refused(world: World) -> None:
    one = world.boxes[0]
    world.server.create("group:others", ["user1"])
    made = letter(one, "group:others")
    assert on(one, lambda draft: draft.seal(made)) == NotYet("group")
    run(world)
    refused = on(one, lambda draft: draft.seal(made))
    assert isinstance(refused, Refused)
    assert refused.code == "not_a_member"


def test_a_chat_of_others_is_refused(world: World) -> None:
    one = world.boxes[0]
    made = letter(one, "dm:a1:b1")
    refused = on(one, lambda draft: draft.seal(made))
    assert isinstance(refused, Refused)


def test_mismatches_lead_to_new_lists_and_then_to_patience(world: World) -> None:
    one, other = world.boxes
    name = talk(world, one, other)
    made = letter(one, name)
    error = frames.Error(
        "mismatched_devices", "", retryable=False, missing=({"userId": other.me.user_id, "deviceId": "x"},)
    )
    on(one, lambda draft: draft.mismatched(name, error))
    assert on(one, lambda draft: draft.seal(made)) == NotYet("lists")
    assert one.agent.looks_up(other.me.user_id)
    assert not one.agent.looks_up(one.me.user_id)
    for _ in range(3):
        on(one, lambda draft: draft.mismatched(name, error))
    run(world, 2, 1)
    assert on(one, lambda draft: draft.seal(made)) == NotYet("wait")
    due = one.agent.next_due(world.server.now)
    assert due is not None
    world.server.now = due
    assert one.agent.has_work(due), "so that somebody seals again"
    on(one, lambda draft: draft.work())
    assert not one.agent.has_work(due)
    assert isinstance(on(one, lambda draft: draft.seal(made)), Sealed)


def test_nothing_secret_is_shown(world: World) -> None:
    one, other = world.boxes
    name = talk(world, one, other)
    made = letter(one, name)
    shown = " ".join(map(repr, (made, one.agent, view(one).device, view(one).session(other.me), one.agent.wants(0))))
    for secret in (view(one).device.identity, view(one).device.account, made.key):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


def test_wants_and_answers_show_nothing() -> None:
    item = MessageRef(
        conversation_id="dm:a1:b1", sequence_number=1, sender_id="a1", sender_device_id="d", client_message_id="c"
    )
    archive = StoredArchive("media", b"secret", b"digest", 7)
    shown = [
        PutDeviceList(number=3, body=keys.PutDeviceList("cGF5", "c2ln", True, "secret")),
        ImportArchive(archive=archive),
        archive,
        FoundKey(item, 1, 2, b"secret"),
        MessageKey("dm:a1:b1", 1, "a1", "d", "c", b"secret"),
        Opened(b"secret"),
    ]
    assert not [one for one in map(repr, shown) if "secret" in one]
    assert repr(shown[0]) == "PutDeviceList(number=3)"


# --- backups


def test_after_a_restored_backup_sessions_chains_and_keys_are_new(world: World) -> None:
    one, other = world.boxes
    world.server.create("group:g", world.users)
    run(world)
    name = talk(world, one, other)
    one.write("group:g")
    run(world, 20)
    backup = dict(one.records)
    former = view(one).chain("group:g")
    signed = world.server.stocks[one.me].signed
    talk(world, one, other)
    talk(world, other, one)
    assert former is not None
    one.records = backup
    one.start()
    on(one, lambda draft: draft.restored())
    session = view(one).session(other.me)
    assert session is not None
    assert not session.can_encrypt()
    assert view(one).chain("group:g") is None
    one.connect()
    run(world, 20)
    assert world.server.stocks[one.me].signed != signed
    assert len(world.server.stocks[one.me].ones) > stock.STOCK
    talk(world, one, other)
    one.write("group:g")
    run(world, 20)
    assert texts(other, name)[-1]
    assert texts(other, "group:g") == [True, True]
    chain = view(one).chain("group:g")
    assert chain is not None
    assert chain.chain_id != former.chain_id
    talk(world, other, one)
    world.settle()
    assert all(texts(one, name))


def test_a_backup_that_is_restored_at_a_new_log_in_becomes_a_device_of_its_own(world: World) -> None:
    one, other = world.boxes
    name = talk(world, one, other)
    world.link = lambda: None  # type: ignore[method-assign]
    box = Box(world, DeviceRef(one.me.user_id, "restored"))
    world.server.devices[one.me.user_id].add("restored")
    world.boxes.append(box)
    box.records = dict(one.records)
    box.start()
    assert (one.agent.standing, box.agent.standing) == ("linked", "preparing")  # not what the former device was
    on(box, lambda draft: draft.restored())
    box.connect()
    run(world, 30)
    assert box.agent.standing == "linked"
    assert view(box).device.identity != view(one).device.identity
    assert not moved.is_due(view(box))
    assert set(other.agent.person(one.me.user_id).devices) >= {one.me}
    talk(world, other, one)
    run(world, 20)
    assert texts(box, name)[-1]


def test_every_kind_of_state_is_a_struct_that_grows_at_its_end() -> None:
    for kind in kinds.TYPES.values():
        assert issubclass(kind, msgspec.Struct)
        assert kind.__struct_config__.array_like
        assert kind.__struct_config__.frozen
