"""Words and texts that the platforms share."""

import re
from pathlib import Path

import pytest

from cooee.adapters.push import outcomes
from cooee.ports.push_sender import PushOutcome, PushVerdict
from cooee.services.push_lanes import NO_PLATFORM, UNREACHED

ROOT = Path(__file__).parents[4]


def test_every_reason_is_documented() -> None:
    table = (ROOT / "docs/push.md").read_text("utf-8").partition("| reason | means | do |")[2]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    reasons = {value for name, value in vars(outcomes).items() if name.isupper() and isinstance(value, str)}
    assert sorted(documented) == sorted(reasons | {NO_PLATFORM, UNREACHED})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, PushOutcome(PushVerdict.DELIVERED)),
        (201, PushOutcome(PushVerdict.DELIVERED)),
        (204, PushOutcome(PushVerdict.DELIVERED)),
        (302, PushOutcome(PushVerdict.FAILED, "refused")),
        (400, PushOutcome(PushVerdict.FAILED, "refused")),
        (401, PushOutcome(PushVerdict.FAILED, "credentials")),
        (403, PushOutcome(PushVerdict.FAILED, "credentials")),
        (408, PushOutcome(PushVerdict.RETRY, "platform_error", 5.0)),
        (413, PushOutcome(PushVerdict.FAILED, "too_large")),
        (429, PushOutcome(PushVerdict.RETRY, "busy", 5.0)),
        (500, PushOutcome(PushVerdict.RETRY, "platform_error", 5.0)),
        (599, PushOutcome(PushVerdict.RETRY, "platform_error", 5.0)),
    ],
)
def test_what_a_status_means(status: int, outcome: PushOutcome) -> None:
    assert outcomes.by_status(status, "5", 0.0) == outcome


@pytest.mark.parametrize("retry_after", ["", "soon", "-1", "Thu, 01 Jan 1970 00:00:00 GMT", "1e3"])
def test_a_time_that_is_none_is_none(retry_after: str) -> None:
    assert outcomes.by_status(503, retry_after, 1e9).retry_after_s == 0.0


@pytest.mark.parametrize("most", range(2, 40))
def test_a_text_fits_as_much_of_it_as_can(most: int) -> None:
    packed = outcomes.fitted(lambda text: f"<{text}>".encode(), "ä" * 12, most)
    assert packed is not None
    assert len(packed) <= most
    assert packed.decode() == f"<{'ä' * 12}>" or len(packed) > most - 4 or most < 7


def test_what_is_too_much_without_any_text_does_not_fit() -> None:
    assert outcomes.fitted(lambda text: b"xxxx" + text.encode(), "text", 3) is None
