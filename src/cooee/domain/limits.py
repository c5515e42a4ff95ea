"""Every bound of the system with its default (PROTOCOL.md §13). Configuration may change each; nothing is unbounded."""

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """A token bucket: ``per_s`` tokens a second, ``burst`` at most."""

    per_s: float
    burst: int


def per_minute(count: int) -> Rate:
    """Return the rate of ``count`` a minute, all of which may come at once."""
    return Rate(count / 60, count)


def per_hour(count: int) -> Rate:
    """Return the rate of ``count`` an hour, all of which may come at once."""
    return Rate(count / 3600, count)


class Limits(msgspec.Struct, frozen=True):
    """The limits a server runs with. Sizes are bytes, times as named."""

    frame_bytes: int = 64 * 1024
    content_bytes: int = 48 * 1024
    preview_bytes: int = 256
    outbox_bytes: int = 1024 * 1024
    window: int = 256
    page: int = 50
    max_page: int = 200
    hello_timeout_s: float = 10.0
    heartbeat_interval_s: float = 30.0
    heartbeat_timeout_s: float = 10.0
    frames: Rate = Rate(50, 500)
    sends: Rate = Rate(20, 200)
    presence_subscribes: Rate = per_minute(10)
    presence_subscriptions: int = 500
    log_ins_per_account_and_address: Rate = per_minute(10)
    log_ins_per_address: Rate = per_minute(60)
    registrations_per_address: Rate = per_hour(20)
    group_changes: Rate = per_minute(30)
    user_searches: Rate = per_minute(60)
    new_direct_chats_with_strangers: Rate = per_hour(20)
    to_device: Rate = per_minute(600)
    to_device_messages: int = 100
    to_device_bytes: int = 16 * 1024
    to_device_queued_messages: int = 10_000
    to_device_queued_bytes: int = 16 * 1024 * 1024
    mentions: int = 100
    group_members: int = 500
    large_group_members: int = 50
    groups_per_user: int = 5_000
    devices_per_user: int = 20
    contacts_per_user: int = 10_000
    watermarks_query: int = 200
    max_connections: int = 50_000
    http_body_bytes: int = 1024 * 1024
    poll_wait_ms: int = 30_000
    poll_lapse_s: float = 60.0
    drain_s: float = 30.0
    presence_debounce_s: float = 10.0
    typing_expires_s: float = 6.0
