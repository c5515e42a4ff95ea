"""Devices over a network that breaks everything: in the end everybody reads what is his, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.client.e2ee import healing, senders, stock
from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.step import Step
from tests.fakes.e2ee_world import CALM, WILD, Faults, World

SMALL_STOCK = 24
"""One-time keys: few, so that they run out, and making them does not take most of the time."""


@pytest.fixture(autouse=True)
def small_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "STOCK", SMALL_STOCK)


def lived(seed: int, steps: int, faults: Faults, **size: int) -> World:
    """Return a world after so many steps, settled."""
    world = World(seed, faults, **size)
    for _ in range(steps):
        world.random_step()
    world.settle()
    return world


def broken(world: World) -> int:
    """Return how many messages could not be read when they came, though everything needed had come before."""
    return sum(box.tallies()["broken"] for box in world.boxes)


@pytest.mark.parametrize(("seed", "steps"), [(1, 1_000), (2, 300)])
def test_after_many_wild_steps_everybody_reads_what_is_his_and_nothing_else(seed: int, steps: int) -> None:
    world = lived(seed, steps, WILD)
    assert world.check() == []
    assert broken(world) > 10, "the world was not wild"
    assert any(box.tallies()["messages_healed"] for box in world.boxes)
    assert not any(box.gave_up - box.pried for box in world.alive())
    assert sum(len(timeline) for timeline in world.server.timelines.values()) > steps // 4


@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_not_lost_on_the_way_is_readable_at_once(seed: int) -> None:
    world = lived(seed, 200, CALM)
    assert world.check() == []
    assert broken(world) == 0
    assert world.lost == 0


likely = st.sampled_from([0.0, 0.02, 0.1, 0.3])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    faults=st.builds(
        Faults,
        lose_blob=likely,
        double_blob=likely,
        swap_blobs=likely,
        lose_answer=likely,
        fail_store=likely,
        tamper=likely,
        restart=likely,
        lose_keys=likely,
        revoke=st.sampled_from([0.0, 0.02]),
        pry=likely,
    ),
)
def test_any_mixture_of_faults_ends_well(seed: int, faults: Faults) -> None:
    world = lived(seed, 50, faults, users=3, devices=2)
    assert world.check() == []


# --- the checker finds what is broken

CHURN = CALM._replace(fail_store=0.0)


def never_rotated(step: Step, conversation_id: str, devices: senders.Devices) -> None:
    if step.chain(conversation_id) is None:
        senders.begin(step, conversation_id)


def test_planted_a_chain_that_is_kept_when_somebody_leaves_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "ensure", never_rotated)
    assert any("can read" in wrong for wrong in lived(3, 150, CHURN).check())


def test_planted_keys_for_anybody_who_asks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "entitled", lambda *_: True)
    assert any("has the key" in wrong for wrong in lived(3, 150, CHURN._replace(pry=0.1)).check())


def test_planted_a_failing_message_that_changes_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "back_to", lambda *_: None)
    assert any("forged" in wrong for wrong in lived(3, 60, CHURN).check())


def test_planted_a_state_that_is_installed_though_it_was_not_stored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: Callable[..., Any] = World.happens
    world = World(3, CALM)

    def install_anyway(self: World, probability: float) -> bool:
        happened = begun(self, probability)
        if happened and probability == self.faults.fail_store and newest:
            newest[0].records()
            newest[0].install()
        return bool(happened)

    newest: list[Draft] = []
    init = Draft.__init__

    def remember(self: Draft, *arguments: Any) -> None:
        init(self, *arguments)
        newest[:] = [self]

    monkeypatch.setattr(World, "happens", install_anyway)
    monkeypatch.setattr(Draft, "__init__", remember)
    world.faults = CALM._replace(fail_store=0.07, restart=0.05, lose_answer=0.0, tamper=0.0)
    for _ in range(200):
        world.random_step()
    world.settle()
    assert world.check() or broken(world)


def test_planted_lost_chains_that_are_not_given_again_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without key requests nothing that was lost comes back."""
    monkeypatch.setattr(healing, "ask", lambda _: None)
    monkeypatch.setattr(healing, "next_ask", lambda _: None)
    assert any("cannot read" in wrong for wrong in lived(1, 120, WILD._replace(revoke=0.0)).check())
