"""``cooee push``: where this device is notified, and what notifications show."""

import json
import sys
from typing import Any

import click
import msgspec

from cooee.cli.choices import account_options
from cooee.cli.errors import usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import safe
from cooee.protocol import http
from cooee.protocol import push as bodies


@click.group()
@account_options
def push() -> None:
    """Notifications: where this device gets them, and what they show."""


@push.command()
@account_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show where this device is notified."""
    _tell(invocation, invocation.call(lambda api: api.push_subscription()))


@push.command("set")
@click.argument("platform", type=click.Choice(["web", "fcm", "apns"]))
@click.argument("token", required=False, default="-")
@account_options
@pass_invocation
def subscribe(invocation: Invocation, platform: str, token: str) -> None:
    """Have this device notified by PLATFORM, in place of what was set before.

    TOKEN is what the platform gave the app; for web the JSON of a browser's PushSubscription. `-`: from standard input.

    Example: cooee push set fcm -
    """
    given = (sys.stdin.read() if token == "-" else token).strip()  # noqa: S105  # no password
    if platform != "web":
        _tell(invocation, invocation.call(lambda api: api.subscribe_token(platform, given)))
        return
    endpoint, p256dh, auth = _browsers(given)
    _tell(invocation, invocation.call(lambda api: api.subscribe_web(endpoint, p256dh, auth)))


@push.command()
@account_options
@pass_invocation
def remove(invocation: Invocation) -> None:
    """Have this device notified no more."""
    invocation.call(lambda api: api.unsubscribe())
    invocation.tell({"type": "push_removed"}, "This device is notified no more.")


@push.command()
@click.option("--preview/--no-preview", default=None, help="Whether texts of messages are shown.")
@click.option("--mentions/--no-mentions", default=None, help="Whether mentions are told of in muted conversations.")
@click.option("--quiet", metavar="HH:MM-HH:MM", help="From when to when nothing is told; `off`: no quiet hours.")
@click.option(
    "--utc-offset", metavar="MINUTES", type=click.IntRange(-840, 840), help="Local time minus UTC, in minutes."
)
@account_options
@pass_invocation
def settings(invocation: Invocation, /, quiet: str | None, utc_offset: int | None, **chosen: Any) -> None:
    """Show or change what notifications show, and when; what is not named stays.

    Example: cooee push settings --no-preview --quiet 22:00-07:00 --utc-offset 60
    """
    changes = {field: value for field, value in chosen.items() if value is not None}
    if quiet is not None:
        changes["quiet_hours"] = _quiet_hours(quiet, utc_offset or 0)
    elif utc_offset is not None:
        raise usage("--utc-offset goes with --quiet.")
    if not changes:
        me = invocation.call(lambda api: api.me())
    else:
        patch = http.PatchMe(notifications=bodies.PatchNotifications(**changes))
        me = invocation.call(lambda api: api.update_me(patch))
    own = me.notifications
    hours = own.quiet_hours
    invocation.tell(
        record("push_settings", own),
        f"preview      {'on' if own.preview else 'off'}",
        f"mentions     {'on' if own.mentions else 'off'}",
        f"quiet hours  {'none' if hours is None else f'{hours.start}-{hours.end}, UTC{hours.offset_min:+} min'}",
    )


def _browsers(text: str) -> tuple[str, str, str]:
    try:
        given = json.loads(text)
        return str(given["endpoint"]), str(given["keys"]["p256dh"]), str(given["keys"]["auth"])
    except (ValueError, KeyError, TypeError):
        raise usage("For web, give the JSON of a PushSubscription, with endpoint and keys.") from None


def _quiet_hours(text: str, offset_min: int) -> bodies.QuietHours | None:
    if text == "off":
        return None
    start, _, end = text.partition("-")
    try:
        return msgspec.convert({"start": start, "end": end, "offsetMin": offset_min}, bodies.QuietHours)
    except msgspec.ValidationError:
        raise usage("Quiet hours are written 22:00-07:00, or off.") from None


def _tell(invocation: Invocation, told: bodies.Subscription) -> None:
    invocation.tell(
        record("push_subscription", told),
        f"This device is notified by {told.platform}: {safe(told.endpoint or told.token)}",
    )
