"""The contract of `Router`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from cooee.adapters.memory.router import MemoryRouter
from cooee.ports.router import Routed, RouteKind, Router


@pytest.fixture
def router() -> Router:
    return MemoryRouter()


def event(name: str) -> Routed:
    return Routed(RouteKind.EVENT, ("alice",), name.encode())


class Gateway:
    """Remembers what was published to it."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Routed]] = []

    def receive(self, items: Sequence[Routed]) -> None:
        self.batches.append(items)


async def test_items_reach_the_gateway_in_one_batch_and_in_order(router: Router) -> None:
    one, two = Gateway(), Gateway()
    await router.subscribe("gw-1", one.receive)
    await router.subscribe("gw-2", two.receive)
    assert await router.publish("gw-1", [event("a"), event("b")])
    assert await router.publish("gw-1", [event("c")])
    assert [list(batch) for batch in one.batches] == [[event("a"), event("b")], [event("c")]]
    assert two.batches == []


async def test_nobody_listens(router: Router) -> None:
    gateway = Gateway()
    assert not await router.publish("gw-1", [event("a")])
    await router.subscribe("gw-1", gateway.receive)
    await router.unsubscribe("gw-1")
    await router.unsubscribe("gw-1")
    assert not await router.publish("gw-1", [event("b")])
    assert gateway.batches == []


async def test_a_gateway_that_fails_does_not_fail_the_publisher(router: Router) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    def broken(_items: Sequence[Routed]) -> None:
        raise RuntimeError("broken gateway")

    await router.subscribe("gw-1", broken)
    assert await router.publish("gw-1", [event("a")])
    assert str(reported[0]["exception"]) == "broken gateway"
