"""Who gets which receipt, compared with a model that can be believed by reading it (PROTOCOL.md §4)."""

import asyncio
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.adapters.memory.store import MemoryStore
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.protocol import frames
from cooee.services import view_sources
from cooee.services.conversation_view import ConversationView
from cooee.services.receipts import Receipts
from tests.fakes.message_scene import MessageScene

USERS = ("alice", "bob", "carol")
GROUP = "group:g"


class Told(NamedTuple):
    """One receipt to one user."""

    to: str
    about: str
    status: str
    number: int


class Model:
    """The rules of receipts, written down without thought of speed."""

    def __init__(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden
        self.senders: list[str] = ["(system)"]
        self.devices: dict[tuple[str, str], int] = {}
        self.delivered = dict.fromkeys(USERS, 0)
        self.read_by = dict.fromkeys(USERS, 0)

    def send(self, user_id: str, device_id: str) -> None:
        self.senders.append(user_id)
        number = len(self.senders)
        if self.devices.get((user_id, device_id), 0) == number - 1:
            self.devices[user_id, device_id] = number
            self.delivered[user_id] = max(self.delivered[user_id], number)

    def received(self, user_id: str, device_id: str, number: int) -> set[Told]:
        if number > len(self.senders):
            return set()
        device = (user_id, device_id)
        self.devices[device] = max(self.devices.get(device, 0), number)
        before, self.delivered[user_id] = self.delivered[user_id], max(self.delivered[user_id], number)
        return {
            Told(sender, user_id, "delivered", self.delivered[user_id])
            for sender in self._newly(before, self.delivered[user_id])
            if sender != user_id
        }

    def read(self, user_id: str, device_id: str, number: int) -> set[Told]:
        if number > len(self.senders):
            return set()
        told = self.received(user_id, device_id, number)
        before, self.read_by[user_id] = self.read_by[user_id], max(self.read_by[user_id], number)
        after = self.read_by[user_id]
        if after > before:
            told.add(Told(user_id, user_id, "read", after))
        if user_id not in self.hidden:
            told |= {
                Told(sender, user_id, "read", after)
                for sender in self._newly(before, after)
                if sender != user_id and sender not in self.hidden
            }
        return told

    def _newly(self, before: int, after: int) -> set[str]:
        return set(self.senders[before:after]) - {"(system)"}


SENDS = st.tuples(st.just("send"), st.sampled_from(USERS), st.sampled_from(["d1", "d2"]), st.just(0))
MARKS = st.tuples(
    st.sampled_from(["received", "read"]),
    st.sampled_from(USERS),
    st.sampled_from(["d1", "d2"]),
    st.integers(0, 12),
)
FORGET = st.tuples(st.just("forget"), st.just(""), st.just(""), st.just(0))
Step = tuple[str, str, str, int]
STEPS = st.lists(SENDS | MARKS | FORGET, max_size=25)
HIDDEN = st.frozensets(st.sampled_from(USERS), max_size=2)


async def _found(scene: MessageScene, hidden: frozenset[str]) -> None:
    for user_id in USERS:
        await scene.people(user_id, read_receipts=user_id not in hidden)
    await scene.group(GROUP, *USERS)
    scene.take_routed()


def _take_told(scene: MessageScene) -> list[Told]:
    return [
        Told(user_id, receipt.user_id or "", receipt.status, receipt.sequence_number)
        for user_ids, receipt in scene.take_receipts()
        for user_id in user_ids
    ]


def _do(scene: MessageScene, step: Step) -> None:
    action, user_id, device_id, number = step
    device = DeviceRef(user_id, device_id)
    if action == "forget":
        scene.views.forget(GROUP)
    elif action == "send":
        scene.messages.send(device, scene.send_frame(GROUP), lambda _answer: None)
    elif action == "received":
        scene.receipts.received(device, frames.Received(GROUP, number), lambda _answer: None)
    else:
        scene.receipts.read(device, frames.Read(GROUP, number), lambda _answer: None)


def _model(model: Model, step: Step) -> set[Told]:
    action, user_id, device_id, number = step
    if action == "send":
        model.send(user_id, device_id)
    elif action == "received":
        return model.received(user_id, device_id, number)
    elif action == "read":
        return model.read(user_id, device_id, number)
    return set()


async def _check(steps: list[Step], hidden: frozenset[str], *, memory: bool) -> None:
    async with MessageScene(memory=MemoryStore() if memory else None) as scene:
        await _found(scene, hidden)
        model = Model(hidden)
        for step in steps:
            _do(scene, step)
            await scene.settle()
            told = _take_told(scene)
            assert set(told) == _model(model, step), step
            assert len(told) == len(set(told)), "nobody is told twice"


@pytest.mark.parametrize("memory", [False, True], ids=["manual", "memory"])
@given(steps=STEPS, hidden=HIDDEN)
def test_each_step_tells_exactly_whom_the_model_tells(
    steps: list[Step], hidden: frozenset[str], *, memory: bool
) -> None:
    asyncio.run(_check(steps, hidden, memory=memory))


SCENARIO: list[Step] = [
    ("send", "alice", "d1", 0),
    ("send", "bob", "d1", 0),
    ("received", "bob", "d1", 3),
    ("received", "bob", "d2", 3),
    ("received", "bob", "d1", 1),
    ("read", "bob", "d1", 3),
    ("read", "carol", "d1", 3),
    ("read", "alice", "d1", 2),
]


def _everybody(view: ConversationView, _after: int, _through: int) -> frozenset[str]:
    return frozenset(view.members)


def _no_maximum(mark: Watermark, delivered: int = 0, read: int = 0) -> Watermark:
    return Watermark(delivered or mark.delivered, read or mark.read)


def _at_once(receipts: Receipts, view: ConversationView, device: DeviceRef, *_rest: object) -> None:
    receipts._note(view, device, Watermark(), Watermark(view.head, 0))


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [
        (ConversationView, "senders", _everybody),
        (Watermark, "merge", _no_maximum),
        (Receipts, "_advance", _at_once),
        (Receipts, "_tell_own_devices", lambda *_: None),
        (view_sources, "_hidden_readers", lambda _: frozenset()),
    ],
    ids=["everybody is a sender", "no maximum", "before it is durable", "own devices forgotten", "privacy forgotten"],
)
def test_the_comparison_finds_planted_bugs(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, bug: Any) -> None:
    asyncio.run(_check(SCENARIO, frozenset({"carol"}), memory=False))
    monkeypatch.setattr(owner, name, bug)
    with pytest.raises(AssertionError):
        asyncio.run(_check(SCENARIO, frozenset({"carol"}), memory=False))


@given(st.lists(STEPS, max_size=4), HIDDEN)
def test_steps_of_one_turn_leave_everybody_with_the_models_last_word(
    turns: list[list[Step]], hidden: frozenset[str]
) -> None:
    async def run() -> None:
        async with MessageScene() as scene:
            await _found(scene, hidden)
            model = Model(hidden)
            for drawn in turns:
                # Whether a number lies above the head depends on what is committed first: here none does.
                head = len(model.senders)
                steps = [(action, user, device, min(number, head)) for action, user, device, number in drawn]
                for step in steps:
                    _do(scene, step)
                await scene.settle()
                ordered = sorted(steps, key=lambda step: step[0] == "send")
                expected: dict[tuple[str, str, str], int] = {}
                for step in ordered:
                    for told in _model(model, step):
                        expected[told[:3]] = max(told.number, expected.get(told[:3], 0))
                heard: dict[tuple[str, str, str], int] = {}
                for told in _take_told(scene):
                    heard[told[:3]] = max(told.number, heard.get(told[:3], 0))
                assert set(heard) == set(expected)
                assert all(heard[key] >= expected[key] for key in expected)

    asyncio.run(run())
