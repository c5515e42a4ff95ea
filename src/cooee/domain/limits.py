"""Every bound of the system with its default (PROTOCOL.md §13). Configuration may change each; nothing is unbounded."""

from typing import Annotated, Any

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


def _doc(text: str) -> Any:
    return msgspec.Meta(description=text)


def _positive(text: str) -> Any:
    return msgspec.Meta(description=text, gt=0)


class Limits(msgspec.Struct, frozen=True):
    """The limits a server runs with. Each field's description is what the configuration reference prints."""

    frame_bytes: Annotated[int, _positive("Largest frame a client may send, in bytes.")] = 64 * 1024
    content_bytes: Annotated[int, _positive("Largest content of one message, in bytes of UTF-8.")] = 48 * 1024
    preview_bytes: Annotated[int, _positive("Largest notification preview, in bytes of UTF-8.")] = 256
    outbox_bytes: Annotated[
        int, _positive("Unsent bytes per connection; beyond them a slow consumer is closed with 4008.")
    ] = 1024 * 1024
    window: Annotated[int, _positive("Unacknowledged message frames on one connection.")] = 256
    page: Annotated[int, _positive("Messages on a page of history when the client names no limit.")] = 50
    max_page: Annotated[int, _positive("Most messages on a page of history.")] = 200
    hello_timeout_s: Annotated[
        float, _positive("Seconds a new connection has for its hello, and an HTTP request for its head.")
    ] = 10.0
    heartbeat_interval_s: Annotated[
        float, _positive("Seconds without bytes from a client before the server pings.")
    ] = 30.0
    heartbeat_timeout_s: Annotated[float, _positive("Seconds a client has to answer the ping.")] = 10.0
    frames: Annotated[Rate, _doc("Frames per connection.")] = Rate(50, 500)
    sends: Annotated[Rate, _doc("Messages sent per connection.")] = Rate(20, 200)
    presence_subscribes: Annotated[Rate, _doc("presence.subscribe frames per connection.")] = per_minute(10)
    presence_subscriptions: Annotated[int, _positive("Users one connection may watch.")] = 500
    log_ins_per_account_and_address: Annotated[Rate, _doc("Log-ins per account and address.")] = per_minute(10)
    log_ins_per_address: Annotated[Rate, _doc("Log-ins per address.")] = per_minute(60)
    registrations_per_address: Annotated[Rate, _doc("New accounts per address.")] = per_hour(20)
    group_changes: Annotated[Rate, _doc("Changes of groups per user.")] = per_minute(30)
    user_searches: Annotated[Rate, _doc("User searches per user.")] = per_minute(60)
    new_direct_chats_with_strangers: Annotated[
        Rate, _doc("Direct chats a user may begin with people who do not have him as a contact.")
    ] = per_hour(20)
    to_device: Annotated[Rate, _doc("Device-to-device messages per user.")] = per_minute(600)
    to_device_messages: Annotated[int, _positive("Device-to-device messages in one frame.")] = 100
    to_device_bytes: Annotated[int, _positive("Largest device-to-device message, in bytes.")] = 16 * 1024
    to_device_queued_messages: Annotated[int, _positive("Device-to-device messages queued for a device.")] = 10_000
    to_device_queued_bytes: Annotated[int, _positive("Bytes of device-to-device messages queued for a device.")] = (
        16 * 1024 * 1024
    )
    key_claims: Annotated[Rate, _doc("Devices whose keys a user may claim.")] = per_minute(600)
    one_time_keys_per_claimer: Annotated[
        Rate, _doc("One-time keys of one device that one user may use up; beyond them he gets the last resort.")
    ] = per_hour(10)
    one_time_keys_per_device: Annotated[
        Rate, _doc("One-time keys of one device that all users together may use up; beyond them, the last resort.")
    ] = per_hour(1_000)
    key_uploads: Annotated[Rate, _doc("Uploads of keys per user.")] = per_minute(30)
    device_list_changes: Annotated[Rate, _doc("New device lists per user.")] = per_minute(20)
    device_list_lookups: Annotated[Rate, _doc("Device lists a user may look up.")] = per_minute(6_000)
    mentions: Annotated[int, _positive("Users one message may mention.")] = 100
    group_members: Annotated[int, _positive("Members of a group.")] = 500
    large_group_members: Annotated[int, _positive("Members from which a group is fanned out at read time.")] = 50
    groups_per_user: Annotated[int, _positive("Groups a user may be in.")] = 5_000
    devices_per_user: Annotated[int, _positive("Devices of one account.")] = 20
    bots_per_user: Annotated[int, msgspec.Meta(description="Bots one user may own; 0: nobody makes any.", ge=0)] = 10
    bots_made: Annotated[Rate, _doc("New bots per user.")] = per_hour(20)
    bot_changes: Annotated[Rate, _doc("Changes of bots, their tokens and webhooks, per user.")] = per_minute(30)
    tokens_per_bot: Annotated[int, _positive("Tokens of one bot.")] = 20
    hooks_per_bot: Annotated[int, _positive("Incoming webhooks of one bot.")] = 20
    hook_posts: Annotated[Rate, _doc("Messages posted by one incoming webhook.")] = per_minute(60)
    hook_posts_per_address: Annotated[Rate, _doc("Posts to incoming webhooks per address, refused ones too.")] = (
        per_minute(600)
    )
    hook_body_bytes: Annotated[int, _positive("Largest body of a post to an incoming webhook, in bytes.")] = 64 * 1024
    media_uploads: Annotated[Rate, _doc("Uploads of files that a user may begin.")] = per_minute(120)
    contacts_per_user: Annotated[int, _positive("Contacts, and likewise blocks, of one account.")] = 10_000
    watermarks_query: Annotated[int, _positive("Conversations in one watermarks query.")] = 200
    max_connections: Annotated[int, _positive("Open connections of one gateway process.")] = 50_000
    http_request_s: Annotated[
        float,
        _positive(
            "Seconds in which 4 KiB of an HTTP request's body must come, or of an answer be taken; else it ends."
        ),
    ] = 30.0
    http_body_bytes: Annotated[int, _positive("Largest body of an HTTP request, in bytes.")] = 1024 * 1024
    poll_wait_ms: Annotated[int, _positive("Longest wait of one long poll, in ms.")] = 30_000
    poll_lapse_s: Annotated[float, _positive("Seconds after the last poll when a long-polling session lapses.")] = 60.0
    drain_s: Annotated[float, _positive("Seconds clients have to leave when the server drains.")] = 30.0
    presence_debounce_s: Annotated[
        float, msgspec.Meta(description="A drop of presence shorter than this (seconds) is not announced.", ge=0)
    ] = 10.0
    typing_expires_s: Annotated[float, _positive("Seconds after which a typing indicator expires by itself.")] = 6.0
