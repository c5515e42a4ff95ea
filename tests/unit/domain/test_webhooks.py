"""What follows from an attempt to send a webhook."""

import pytest

from cooee.domain.webhooks import Verdict, WebhookSettings, judge, next_attempt_s, retry_after_s

SETTINGS = WebhookSettings(retry_base_s=5, retry_cap_s=60, retry_after_cap_s=600)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (100, Verdict.FAILED),
        (302, Verdict.FAILED),
        (404, Verdict.FAILED),
        (410, Verdict.GONE),
        (429, Verdict.FAILED),
        (500, Verdict.FAILED),
    ],
)
def test_only_2xx_is_delivered(status: int, verdict: Verdict) -> None:
    assert judge(status) is verdict


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999999999999", 999_999_999),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("Fri, 13 Feb 2009 23:31:40 GMT", 10),
        ("Fri, 13 Feb 2009 23:31:20 GMT", 0),
        ("Fri, 99 Feb 2009 23:31:20 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert retry_after_s(header, 1_234_567_890) == seconds


def test_waits_double_up_to_the_cap_with_full_jitter() -> None:
    assert [next_attempt_s(SETTINGS, attempt, 0.999_999) for attempt in (1, 2, 3, 4, 5, 100)] == pytest.approx(
        [5, 10, 20, 40, 60, 60], abs=0.01
    )
    assert next_attempt_s(SETTINGS, 3, 0.0) == 0
    assert next_attempt_s(SETTINGS, 3, 0.5) == pytest.approx(10)


def test_the_receivers_wish_is_kept_as_far_as_it_is_bounded() -> None:
    assert next_attempt_s(SETTINGS, 1, 0.0, 120) == 120
    assert next_attempt_s(SETTINGS, 1, 0.0, 10_000) == 600
    assert next_attempt_s(SETTINGS, 4, 0.999_999, 3) == pytest.approx(40, abs=0.01)
