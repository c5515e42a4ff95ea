"""``cooee admin push``: whether notifications reach a user's devices, on a running server."""

from urllib.parse import quote

import click

from cooee.cli.account import checked_user
from cooee.cli.admin_place import Place, pass_place, running
from cooee.cli.choices import json_option
from cooee.cli.errors import CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import safe
from cooee.protocol.http import Page
from cooee.protocol.push import PushTested


@click.group()
@json_option
def push() -> None:
    """Notifications: whether they reach a user's devices."""


@push.command()
@click.argument("user")
@json_option
@pass_place
@pass_invocation
def test(invocation: Invocation, place: Place, user: str) -> None:
    """Send a test notification to every device of USER, and tell what came of each."""
    path = f"/v1/admin/users/{quote(checked_user(user), safe='')}/push-test"
    found = running(place, lambda socket: socket.call("POST", path, Page[PushTested]))
    if not found.items:
        raise CliError(f"No device of {safe(user)} said where it is to be notified.", code="not_found")
    for one in found.items:
        invocation.tell(record("push_tested", one), f"{safe(one.device_id):12} {one.platform:5} {safe(one.outcome)}")
