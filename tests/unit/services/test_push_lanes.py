"""The ways to the platforms: bounded, each by itself, and left alone when they want to be."""

import asyncio
from functools import partial

import pytest

from cooee.domain.push import PushSettings
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict
from cooee.ports.push_targets import PushTarget
from cooee.services.push_lanes import FULL_S, NO_PLATFORM, PATIENCE, UNREACHED, PushLanes, lane_of
from tests.fakes.clock import ManualClock
from tests.fakes.push_sender import GONE, REFUSED, TAKEN, RecordingPush, later

SETTINGS = PushSettings(in_flight=4, timeout_s=30, retry_base_s=2, retry_cap_s=60)


def phone(number: int = 1, platform: str = "fcm") -> PushTarget:
    return PushTarget("bob", f"d{number}", platform, {"token": f"t{number}"}, 1)


def browser(host: str, number: int = 1) -> PushTarget:
    return PushTarget("bob", f"{host}{number}", "web", {"endpoint": f"https://{host}/{number}"}, 1)


def notification(target: PushTarget, *, silent: bool = False) -> PushNotification:
    return PushNotification(target=target.address, title="t", body="b", collapse_key="k", ttl_s=1, silent=silent)


class Scene:
    """Lanes to two platforms, with half of every jitter."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.platform = RecordingPush()
        senders = {"fcm": self.platform, "web": self.platform}
        self.lanes = PushLanes(senders, self.clock, SETTINGS, lambda: 0.5)

    async def send(self, target: PushTarget, *, silent: bool = False) -> PushVerdict:
        return (await self.lanes.send(target, notification(target, silent=silent))).verdict

    async def begin(self, *targets: PushTarget) -> list[asyncio.Task[PushVerdict]]:
        """Send to these, and let it begin."""
        tasks = [asyncio.create_task(self.send(target)) for target in targets]
        await asyncio.sleep(0)
        return tasks


def _always(answer: PushOutcome, _sent: PushNotification) -> PushOutcome:
    return answer


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_came_of_it_is_counted(scene: Scene) -> None:
    for answer in (TAKEN, GONE, REFUSED):
        scene.platform.answers = partial(_always, answer)
        assert await scene.send(phone()) is answer.verdict
    scene.platform.answers = lambda _sent: TAKEN
    await scene.send(phone(), silent=True)
    counters = scene.lanes.counters
    assert (counters.sent, counters.gone, counters.cleared) == ({"fcm": 1}, 1, 1)
    assert (counters.failed, counters.in_flight) == ({"refused": 1}, 0)
    assert scene.lanes.wait_s(phone()) == 0.0


async def test_a_platform_that_is_not_served_is_said_so(scene: Scene) -> None:
    outcome = await scene.lanes.send(phone(platform="apns"), notification(phone()))
    assert (outcome.verdict, outcome.reason) == (PushVerdict.FAILED, NO_PLATFORM)
    assert scene.lanes.platforms == {"fcm", "web"}


async def test_who_is_refused_for_now_waits_alone_and_longer_each_time(scene: Scene) -> None:
    scene.platform.answers = lambda _sent: later()
    waits = []
    for _ in range(2):
        await scene.send(phone())
        waits.append(scene.lanes.wait_s(phone()))
        scene.clock.advance(waits[-1])
        assert scene.lanes.wait_s(phone()) == 0.0
    assert waits == [pytest.approx(1.5), pytest.approx(3.0)]
    assert scene.lanes.wait_s(phone(2)) == 0.0
    scene.platform.answers = lambda _sent: TAKEN
    await scene.send(phone())
    scene.platform.answers = lambda _sent: later()
    await scene.send(phone())
    assert scene.lanes.wait_s(phone()) == pytest.approx(1.5)


async def test_what_the_platform_asks_for_is_kept_within_bounds(scene: Scene) -> None:
    scene.platform.answers = lambda _sent: later(100)
    await scene.send(phone())
    assert scene.lanes.wait_s(phone()) == pytest.approx(100)
    scene.platform.answers = lambda _sent: later(1e9)
    await scene.send(phone(2))
    assert scene.lanes.wait_s(phone(2)) == pytest.approx(3600)


async def test_a_lane_that_fails_is_closed_for_all_and_tried_by_one(scene: Scene) -> None:
    scene.platform.answers = lambda _sent: later()
    for number in range(PATIENCE):
        assert scene.lanes.wait_s(phone(9)) == 0.0
        await scene.send(phone(number))
    wait = scene.lanes.wait_s(phone(9))
    assert wait > 0
    assert scene.lanes.wait_s(browser("a.example")) == 0.0
    scene.clock.advance(wait)
    scene.platform.open.clear()
    probe = await scene.begin(phone(9))
    assert scene.lanes.wait_s(phone(8)) == FULL_S
    scene.platform.answers = lambda _sent: TAKEN
    scene.platform.open.set()
    await asyncio.gather(*probe)
    assert scene.lanes.wait_s(phone(8)) == 0.0


async def test_so_many_are_on_their_way_as_many_wait_and_more_are_put_off(scene: Scene) -> None:
    scene.platform.open.clear()
    tasks = await scene.begin(*(phone(number) for number in range(8)))
    assert len(scene.platform.sent) == 4
    assert scene.lanes.wait_s(phone(9)) == FULL_S
    assert scene.lanes.wait_s(browser("a.example")) == 0.0
    scene.platform.open.set()
    assert await asyncio.gather(*tasks) == [PushVerdict.DELIVERED] * 8


async def test_who_waited_for_a_lane_that_was_closed_meanwhile_is_not_sent(scene: Scene) -> None:
    scene.platform.open.clear()
    scene.platform.answers = lambda _sent: later()
    tasks = await scene.begin(*(phone(number) for number in range(8)))
    scene.platform.open.set()
    assert await asyncio.gather(*tasks) == [PushVerdict.RETRY] * 8
    assert len(scene.platform.sent) < 8


async def test_push_services_of_the_web_are_lanes_of_their_own(scene: Scene) -> None:
    assert lane_of(browser("a.example")) != lane_of(browser("b.example"))
    assert lane_of(phone()) == "fcm"
    scene.platform.open.clear()
    tasks = await scene.begin(browser("a.example"), browser("a.example", 2), browser("b.example"))
    assert len(scene.platform.sent) == 2  # one each: a quarter of four
    scene.platform.open.set()
    await asyncio.gather(*tasks)


async def test_no_answer_in_time_is_one_to_be_repeated() -> None:
    clock, platform = ManualClock(), RecordingPush()
    platform.open.clear()
    lanes = PushLanes({"fcm": platform}, clock, PushSettings(timeout_s=0.01), lambda: 0.0)
    outcome = await lanes.send(phone(), notification(phone()))
    assert (outcome.verdict, outcome.reason) == (PushVerdict.RETRY, UNREACHED)
    assert lanes.counters.repeated == 1
