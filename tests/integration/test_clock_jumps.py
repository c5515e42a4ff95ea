"""Wall clocks that jump, both ways: numbers stay dense, ids ascend, nothing is swept or logged out for it."""

import pytest

from tests.integration.conditions import CLOCK
from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerProcess
from tests.integration.peers import Frame
from tests.integration.scene import PASSWORD, Scene, dm, numbers

PROGRAM = ("-m", "tests.integration.conditions")
SWEEPING = {"STORE_SWEEP_AFTER_S": "0", "STORE_SWEEP_INTERVAL_S": "0.05"}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS
JUMPS_MS = (HOUR_MS, -2 * HOUR_MS, 20 * DAY_MS, -40 * DAY_MS, 10 * YEAR_MS, -20 * YEAR_MS, 0)
"""How wrong the clock is, one after the other; twenty years ago lies before the epoch of the messageIds."""


def set_clock(server: ServerProcess, wrong_by_ms: int) -> None:
    file = server.folder / CLOCK
    file.with_suffix(".new").write_text(str(wrong_by_ms))
    file.with_suffix(".new").replace(file)


async def sweeps(scene: Scene, count: int = 5) -> None:
    """Let the broom go over the store some more times: each is a commit."""
    before = await scene.metric("cooee_commits_total")
    await scene.until(lambda: scene.reaches("cooee_commits_total", before + count))


def place(ack: Frame) -> tuple[str, int]:
    return ack["messageId"], ack["sequenceNumber"]


def check_order(history: list[Frame]) -> None:
    """Numbers are dense, and ids ascend with them whatever the clock said."""
    assert numbers(history) == list(range(1, len(history) + 1))
    ids = [int(one["messageId"]) for one in history]
    assert ids == sorted(set(ids))


async def test_numbers_ids_and_log_ins_survive_every_jump(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(program=PROGRAM, **SWEEPING)
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    group = (await alice.http("POST", "/v1/groups", {"name": "All", "memberIds": [bob.user_id]}))["conversationId"]
    a, b = await alice.ready(), await bob.ready()
    seen: list[str] = []
    for step, jump in enumerate(JUMPS_MS):
        set_clock(server, jump)
        first = await a.say(chat, f"{step}", clientMessageId=f"a{step}")
        assert place(await a.say(chat, f"{step}", clientMessageId=f"a{step}")) == place(first), "a re-send is found"
        await b.say(chat, f"{step} back")
        await a.say(group, f"{step}")
        answer = await b.ask("received", conversationId=chat, sequenceNumber=first["sequenceNumber"])
        assert answer["sequenceNumber"] >= first["sequenceNumber"]
        seen += [one["content"] for one in await b.messages(1, chat)]
        device = {"userId": alice.user_id, "password": PASSWORD, "device": {"name": f"{step}"}}
        newest = await scene.http("POST", "/v1/sessions", device)
        assert newest["deviceId"]
        assert len((await alice.http("GET", "/v1/devices"))["items"]) == step + 2, "nobody is revoked"
        await sweeps(scene)
    assert not a.is_closed
    assert not b.is_closed
    assert seen == [f"{step}" for step in range(len(JUMPS_MS))]
    history = await alice.history(chat)
    assert len(history) == 2 * len(JUMPS_MS)
    check_order(history)
    check_order(await bob.history(group))
    everything = [one["messageId"] for place in (chat, group) for one in await alice.history(place)]
    assert len(everything) == len(set(everything))


async def test_what_was_sent_stays_whatever_the_clock_said(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(program=PROGRAM, **SWEEPING)
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    for jump in (0, 200 * DAY_MS, -20 * DAY_MS, 0):
        set_clock(server, jump)
        await a.say(chat, f"{jump}")
        await sweeps(scene)
    absent = await bob.connect()
    assert numbers(await absent.messages(4)) == [1, 2, 3, 4], "he was away, and misses nothing"
    await absent.ask("received", conversationId=chat, sequenceNumber=4)
    for jump in (200 * DAY_MS, -2 * YEAR_MS, 0):
        set_clock(server, jump)
        await sweeps(scene)
        for person in (alice, bob):
            history = await person.history(chat)
            check_order(history)
            assert len(history) == 4


@pytest.mark.parametrize("jump", [20 * DAY_MS, -20 * DAY_MS])
async def test_a_start_under_a_wrong_clock_hurts_nothing(new_scene: NewScene, new_server: NewServer, jump: int) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    first = await (await alice.ready()).say(chat, "right", clientMessageId="right")
    set_clock(server, jump)
    await scene.restart()
    a = await alice.ready()
    assert place(await a.say(chat, "right", clientMessageId="right")) == place(first)
    second = await a.say(chat, "wrong", clientMessageId="wrong")
    set_clock(server, 0)
    assert place(await a.say(chat, "wrong", clientMessageId="wrong")) == place(second)
    await a.say(chat, "right again")
    await scene.restart()
    b = await bob.ready()
    assert numbers(await b.messages(3)) == [1, 2, 3]
    a = await alice.ready()
    assert place(await a.say(chat, "wrong", clientMessageId="wrong")) == place(second)
    history = await alice.history(chat)
    assert [one["content"] for one in history] == ["right", "wrong", "right again"]
    check_order(history)


async def test_a_start_far_in_the_future_loses_neither_messages_nor_devices(
    new_scene: NewScene, new_server: NewServer
) -> None:
    server = new_server(program=PROGRAM)
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    await (await alice.ready()).say(chat, "hello")
    set_clock(server, YEAR_MS)
    await scene.restart()
    await scene.http("GET", "/readyz")
    set_clock(server, 0)
    assert len((await alice.http("GET", "/v1/devices"))["items"]) == 1
    assert numbers(await (await bob.ready()).messages(1)) == [1]
    assert (await (await alice.ready()).say(chat, "again"))["sequenceNumber"] == 2
    check_order(await alice.history(chat))
