"""Metrics: one table of names, filled from plain counters only when somebody asks (docs/metrics.md).

Counting costs the hot path an addition; rendering is paid for by whoever scrapes. Also the loop's own health: how late
the event loop runs, from which presence learns when to hold its tongue.
"""

import asyncio
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

LAG_SAMPLE_S = 0.25
OVERLOAD_LAG_S = 0.25
"""Smoothed lag of the event loop from which the server counts as overloaded and sheds presence."""
_SMOOTHING = 0.3
LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metric(NamedTuple):
    """One documented metric. ``label`` names the label of a family, or is empty."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    label: str = ""


METRICS: tuple[Metric, ...] = (
    Metric("cooee_sessions", "gauge", "Live sessions: connections that have said hello, WebSocket and long polling."),
    Metric("cooee_polls", "gauge", "Long-polling sessions that are kept."),
    Metric("cooee_connections", "gauge", "Open connections of the public port, before and after hello."),
    Metric("cooee_sessions_opened", "counter", "Sessions that said hello."),
    Metric("cooee_sessions_closed", "counter", "Sessions that the server closed, by close code.", "code"),
    Metric("cooee_sessions_replaced", "counter", "Sessions replaced by a newer connection of the same device."),
    Metric("cooee_slow_consumers", "counter", "Connections closed with 4008: outbox full, silent or flooding."),
    Metric("cooee_frames_received", "counter", "Client frames taken, by type.", "type"),
    Metric("cooee_errors_sent", "counter", "Error frames sent, by code.", "code"),
    Metric("cooee_rate_limited", "counter", "Frames refused because a budget was spent."),
    Metric("cooee_internal_errors", "counter", "Failures that are bugs; each has a log entry."),
    Metric("cooee_acks", "counter", "Messages acknowledged as durable."),
    Metric("cooee_deliveries", "counter", "Message frames sent to devices, resends excepted."),
    Metric("cooee_resends", "counter", "Messages sent again because no receipt came."),
    Metric("cooee_timeline_hints", "counter", "Timeline hints sent for large groups."),
    Metric("cooee_push_hand_overs", "counter", "Conversations handed over to push for a silent device."),
    Metric("cooee_ack_seconds", "histogram", "From a send frame to its ack."),
    Metric("cooee_delivery_seconds", "histogram", "From a message's routing to its frames leaving for the sockets."),
    Metric(
        "cooee_fetch_seconds", "histogram", "From a fetch being served to its page of history leaving for the socket."
    ),
    Metric("cooee_outbox_bytes", "gauge", "Unsent bytes over all connections."),
    Metric("cooee_outbox_bytes_max", "gauge", "Unsent bytes of the fullest connection."),
    Metric("cooee_bytes_received", "counter", "Bytes read from WebSocket connections."),
    Metric("cooee_bytes_sent", "counter", "Bytes written to WebSocket connections."),
    Metric("cooee_writes", "counter", "Write calls on WebSocket connections; frames are coalesced into them."),
    Metric("cooee_commits", "counter", "Transactions of the embedded store that became durable."),
    Metric("cooee_commit_failures", "counter", "Transactions rolled back because the store took nothing."),
    Metric("cooee_commit_operations", "counter", "Operations in durable transactions."),
    Metric("cooee_commit_seconds", "counter", "Time from begin to the end of commit, summed."),
    Metric("cooee_commit_batch_size", "histogram", "Operations per transaction."),
    Metric("cooee_wal_pages", "gauge", "Pages in the store's write-ahead log at the last commit."),
    Metric("cooee_fanout_failures", "counter", "Messages that could not be routed live; receivers read them later."),
    Metric("cooee_routes_dropped", "counter", "Live frames dropped because routing did not keep up."),
    Metric("cooee_views", "gauge", "Conversations kept in memory."),
    Metric("cooee_webhooks", "gauge", "Outgoing webhooks that are enabled."),
    Metric("cooee_webhooks_in_flight", "gauge", "Requests of outgoing webhooks on their way now."),
    Metric("cooee_webhook_queue_age_seconds", "gauge", "Since the request was begun that is longest on its way."),
    Metric("cooee_webhook_requests", "counter", "Requests of outgoing webhooks that were answered with 2xx."),
    Metric("cooee_webhook_events", "counter", "Events in requests that were answered with 2xx."),
    Metric(
        "cooee_webhook_failures",
        "counter",
        "Requests of outgoing webhooks that failed: answered 3xx to 5xx, or why there was no answer.",
        "reason",
    ),
    Metric("cooee_webhook_dead_letters", "counter", "Requests of outgoing webhooks that were given up."),
    Metric("cooee_webhook_dead_letters_dropped", "counter", "Dead letters dropped because too many were kept."),
    Metric("cooee_webhooks_disabled", "counter", "Outgoing webhooks disabled because their receiver failed or left."),
    Metric("cooee_push_queue_age_seconds", "gauge", "How late the notification is that is longest due."),
    Metric("cooee_push_in_flight", "gauge", "Notifications on their way to their platforms now."),
    Metric("cooee_push_sent", "counter", "Notifications that their platform took, by platform.", "platform"),
    Metric("cooee_push_failures", "counter", "Notifications that their platform did not take, by reason.", "reason"),
    Metric("cooee_push_cleared", "counter", "Silent notifications that cleared what was read elsewhere."),
    Metric("cooee_push_targets_gone", "counter", "Targets dropped because their platform said that they are gone."),
    Metric("cooee_key_claims", "counter", "Bundles of keys that were given out."),
    Metric("cooee_key_last_resorts", "counter", "Those without a one-time ML-KEM key."),
    Metric(
        "cooee_encrypted_refused",
        "counter",
        "Encrypted messages refused for whom they are for, by error code.",
        "code",
    ),
    Metric("cooee_media_uploads", "counter", "Uploads of files that were granted."),
    Metric("cooee_media_upload_bytes", "counter", "Bytes of those uploads."),
    Metric("cooee_media_downloads", "counter", "Addresses of files that were given out."),
    Metric("cooee_media_refused", "counter", "Messages refused because of their file, by error code.", "code"),
    Metric("cooee_media_collected", "counter", "Files removed because no message holds them."),
    Metric("cooee_media_collected_bytes", "counter", "Bytes of those files."),
    Metric("cooee_media_looks", "counter", "Files looked at after they were sent."),
    Metric("cooee_media_look_seconds", "counter", "Time for which files were looked at, summed."),
    Metric("cooee_media_inspectors_replaced", "counter", "Processes that died while they looked at a file."),
    Metric("cooee_media_thumbnails", "counter", "Thumbnails made."),
    Metric("cooee_media_unseen", "counter", "Files of which nothing is shown, by reason.", "reason"),
    Metric("cooee_loop_lag_seconds", "histogram", "How late the event loop ran a timer."),
    Metric(
        "cooee_tls_certificate_expiry_seconds",
        "gauge",
        "Seconds until the certificate in force expires; negative when it has. Not there without TLS.",
    ),
    Metric("cooee_draining", "gauge", "1 while the server drains."),
    Metric("cooee_resident_bytes", "gauge", "Resident memory of the process."),
    Metric("cooee_open_files", "gauge", "Open file descriptors of the process."),
    Metric("cooee_gc_collections", "counter", "Collections of the garbage collector, by generation.", "generation"),
)
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


class Buckets(NamedTuple):
    """A histogram as counted: ``counts`` has one more entry than ``bounds``."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


Value = float | Mapping[str, float] | Buckets
"""A number, numbers by label value, or a histogram."""
Source = Callable[[], Iterable[tuple[str, Value]]]
"""Yields metric names of the table with their present values."""


class LoopLag:
    """Measures how late the loop runs. `run` must be running."""

    def __init__(self) -> None:
        self.smoothed = 0.0
        self._counts = [0] * (len(LAG_BOUNDS_S) + 1)
        self._total = 0.0

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)
            self.observe(max(0.0, loop.time() - due))

    def observe(self, lag_s: float) -> None:
        """Take one sample."""
        self.smoothed += _SMOOTHING * (lag_s - self.smoothed)
        self._counts[sum(bound < lag_s for bound in LAG_BOUNDS_S)] += 1
        self._total += lag_s

    def overloaded(self) -> bool:
        """Tell whether what is soft should wait."""
        return self.smoothed > OVERLOAD_LAG_S

    def values(self) -> Iterator[tuple[str, Value]]:
        """Yield the metrics of the loop and of the process."""
        yield "cooee_loop_lag_seconds", Buckets(LAG_BOUNDS_S, self._counts, self._total)
        yield "cooee_gc_collections", {str(n): float(each["collections"]) for n, each in enumerate(gc.get_stats())}
        yield from _process()


def _process() -> Iterator[tuple[str, Value]]:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # not a path but a kernel table
            yield "cooee_resident_bytes", float(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        yield "cooee_open_files", float(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    except OSError:
        return


class Telemetry(Collector):
    """Renders the sources as Prometheus text."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)

    def values(self) -> dict[str, Value]:
        """Return all metrics as plain values, by name."""
        return {name: value for source in self._sources for name, value in source()}

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Yield the families (called by the registry)."""
        for name, value in self.values().items():
            yield _family(BY_NAME[name], value)


def _family(metric: Metric, value: Value) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if isinstance(value, Buckets):
        family = HistogramMetricFamily(metric.name, metric.help)
        family.add_metric([], _cumulative(value), value.total)
        return family
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    if isinstance(value, Mapping):
        labelled = kind(metric.name, metric.help, labels=[metric.label])
        for label, number in value.items():
            labelled.add_metric([label], number)
        return labelled
    return kind(metric.name, metric.help, value=value)


def _cumulative(value: Buckets) -> list[tuple[str, float]]:
    total = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, value.bounds), "+Inf"], value.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
