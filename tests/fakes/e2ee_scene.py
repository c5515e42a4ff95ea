"""A quiet world for tests of the agent's parts: who is in it is linked and online, and nothing goes wrong by itself."""

from collections.abc import Callable
from typing import Any

from cooee.client.e2ee.results import Letter
from cooee.client.e2ee.step import Step
from cooee.domain.ids import direct_conversation_id
from cooee.protocol import frames
from tests.fakes.e2ee_server import Stored
from tests.fakes.e2ee_world import Box, Faults, World


def quiet(users: int = 2, devices: int = 1, seed: int = 1) -> World:
    """Return a world without faults, everybody linked."""
    return World(seed, Faults(), users=users, devices=devices)


def run(world: World, moments: int = 12, ms: int = 50) -> None:
    """Let time pass in small steps."""
    for _ in range(moments):
        world.pass_time(ms)


def talk(world: World, sender: Box, other: Box) -> str:
    """Send a message from one to the other, and return the conversation."""
    name = direct_conversation_id(sender.me.user_id, other.me.user_id)
    sender.write(name)
    run(world)
    return name


def newest(world: World, name: str) -> Stored:
    """Return the newest message of a conversation."""
    return world.server.timelines[name][-1]


def frame_of(world: World, box: Box, name: str) -> frames.MessageFrame:
    """Return the newest message as a device gets it."""
    return world.server.frame_for(box.me, name, newest(world, name))


def texts(box: Box, name: str) -> list[bool]:
    """Return, for each message that a device has, whether it is readable."""
    return [body is not None for place, (_, body) in sorted(box.rows.items()) if place[0] == name]


def on(box: Box, fill: Callable[..., Any], *arguments: Any) -> Any:
    """Do something in a stored step, and return what it returned."""
    found: list[Any] = []
    assert box.step(lambda draft: found.append(fill(draft, *arguments)))
    return found[0]


def view(box: Box) -> Step:
    """Return a step to look at the state with."""
    return box.agent.draft(box.server.now).step


def letter(box: Box, name: str, ident: str = "m1") -> Letter:
    """Return a sealed body of a device."""
    made: Letter = on(box, lambda draft: draft.enclose(name, ident, b"{}"))
    return made
