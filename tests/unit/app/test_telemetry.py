"""Metrics render as Prometheus text, and each name stands in the table."""

from cooee.app.telemetry import METRICS, Buckets, LoopLag, Telemetry


def test_numbers_labels_and_histograms_render() -> None:
    text = Telemetry(
        [
            lambda: [("cooee_sessions", 3.0), ("cooee_errors_sent", {"blocked": 2.0})],
            lambda: [("cooee_ack_seconds", Buckets((0.1, 1.0), (5, 1, 2), 4.5))],
        ]
    ).render()
    assert b"cooee_sessions 3.0" in text
    assert b'cooee_errors_sent_total{code="blocked"} 2.0' in text
    assert b'cooee_ack_seconds_bucket{le="0.1"} 5.0' in text
    assert b'cooee_ack_seconds_bucket{le="1.0"} 6.0' in text
    assert b'cooee_ack_seconds_bucket{le="+Inf"} 8.0' in text
    assert b"cooee_ack_seconds_sum 4.5" in text


def test_names_are_unique_and_documented() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(metric.help.endswith(".") and metric.name.startswith("cooee_") for metric in METRICS)


def test_a_lasting_lag_is_overload_and_one_late_sample_is_not() -> None:
    lag = LoopLag()
    lag.observe(0.5)
    assert not lag.overloaded()
    for _ in range(20):
        lag.observe(0.5)
    assert lag.overloaded()
    for _ in range(20):
        lag.observe(0.0)
    assert not lag.overloaded()


def test_the_process_tells_its_memory() -> None:
    values = dict(LoopLag().values())
    assert values["cooee_resident_bytes"] > 1_000_000  # type: ignore[operator]  # a plain number, not a family
