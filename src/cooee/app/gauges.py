"""From the gateway's plain counters to named metrics."""

from collections.abc import Iterator

from cooee.app.telemetry import Buckets, Value
from cooee.gateway.counters import GatewayCounters, Histogram
from cooee.gateway.websocket import Shared
from cooee.protocol.codes import CloseCode
from cooee.services.encrypted import EncryptedChecks
from cooee.services.keys import KeyCounters
from cooee.services.media import MediaCounters
from cooee.services.media_checks import MediaChecks
from cooee.services.push_lanes import PushLanes
from cooee.services.webhook_courier import WebhookCourier
from cooee.workers.media_collector import MediaCollector
from cooee.workers.media_looks import MediaLooks
from cooee.workers.notifier import Notifier
from cooee.workers.outgoing import OutgoingWebhooks


def gateway_values(counters: GatewayCounters, *, draining: bool) -> Iterator[tuple[str, Value]]:
    """Yield what sessions counted."""
    yield "cooee_sessions", float(counters.sessions)
    yield "cooee_polls", float(counters.polls)
    yield "cooee_sessions_opened", float(counters.opened)
    yield "cooee_sessions_closed", {str(int(code)): float(count) for code, count in counters.closed.items()}
    yield "cooee_sessions_replaced", float(counters.replaced)
    yield "cooee_frames_received", {name: float(count) for name, count in counters.frames_by_type.items()}
    yield "cooee_errors_sent", {str(code): float(count) for code, count in counters.errors.items()}
    yield "cooee_rate_limited", float(counters.rate_limited)
    yield "cooee_internal_errors", float(counters.internal_errors)
    yield "cooee_acks", float(counters.acks)
    yield "cooee_deliveries", float(counters.deliveries)
    yield "cooee_resends", float(counters.resends)
    yield "cooee_timeline_hints", float(counters.hints)
    yield "cooee_push_hand_overs", float(counters.hand_overs)
    yield "cooee_ack_seconds", _buckets(counters.ack_latency)
    yield "cooee_delivery_seconds", _buckets(counters.delivery_latency)
    yield "cooee_fetch_seconds", _buckets(counters.fetch_latency)
    yield "cooee_draining", float(draining)


def connection_values(shared: Shared, slow_polls: int) -> Iterator[tuple[str, Value]]:
    """Yield what WebSocket connections counted, and how full their outboxes are now."""
    counters = shared.counters
    unsent = [connection.buffered for connection in shared.connections]
    yield "cooee_outbox_bytes", float(sum(unsent))
    yield "cooee_outbox_bytes_max", float(max(unsent, default=0))
    yield "cooee_slow_consumers", float(slow_polls + counters.closed.get(CloseCode.SLOW_CONSUMER, 0))
    yield "cooee_bytes_received", float(counters.bytes_received)
    yield "cooee_bytes_sent", float(counters.bytes_sent)
    yield "cooee_writes", float(counters.writes)


def webhook_values(outgoing: OutgoingWebhooks, courier: WebhookCourier) -> Iterator[tuple[str, Value]]:
    """Yield what outgoing webhooks counted."""
    yield "cooee_webhooks", float(len(outgoing))
    yield "cooee_webhooks_in_flight", float(courier.counters.in_flight)
    yield "cooee_webhook_queue_age_seconds", outgoing.oldest_s
    yield "cooee_webhook_requests", float(courier.counters.sent)
    yield "cooee_webhook_events", float(courier.counters.events)
    yield "cooee_webhook_failures", {reason: float(count) for reason, count in courier.counters.failed.items()}
    yield "cooee_webhook_dead_letters", float(outgoing.counters.dead)
    yield "cooee_webhook_dead_letters_dropped", float(outgoing.counters.dropped)
    yield "cooee_webhooks_disabled", float(outgoing.counters.disabled)


def media_values(
    granted: MediaCounters, checks: MediaChecks, collector: MediaCollector, looks: MediaLooks | None
) -> Iterator[tuple[str, Value]]:
    """Yield what files counted."""
    yield "cooee_media_uploads", float(granted.uploads)
    yield "cooee_media_upload_bytes", float(granted.upload_bytes)
    yield "cooee_media_downloads", float(granted.downloads)
    yield "cooee_media_refused", {code: float(count) for code, count in checks.refused.items()}
    yield "cooee_media_collected", float(collector.collected)
    yield "cooee_media_collected_bytes", float(collector.collected_bytes)
    if looks is not None:
        yield "cooee_media_looks", float(looks.looked)
        yield "cooee_media_thumbnails", float(looks.thumbnails)
        yield "cooee_media_unseen", {reason: float(count) for reason, count in looks.unseen.items()}


def key_values(counters: KeyCounters, encrypted: EncryptedChecks) -> Iterator[tuple[str, Value]]:
    """Yield what end-to-end encryption counted."""
    yield "cooee_key_claims", float(counters.claims)
    yield "cooee_key_last_resorts", float(counters.last_resorts)
    yield "cooee_encrypted_refused", {code: float(count) for code, count in encrypted.refused.items()}


def push_values(notifier: Notifier, lanes: PushLanes) -> Iterator[tuple[str, Value]]:
    """Yield what push notifications counted."""
    counters = lanes.counters
    yield "cooee_push_queue_age_seconds", notifier.oldest_s
    yield "cooee_push_in_flight", float(counters.in_flight)
    yield "cooee_push_sent", {platform: float(count) for platform, count in counters.sent.items()}
    yield "cooee_push_failures", {reason: float(count) for reason, count in counters.failed.items()}
    yield "cooee_push_cleared", float(counters.cleared)
    yield "cooee_push_targets_gone", float(counters.gone)


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(histogram.bounds, histogram.counts, histogram.total)
