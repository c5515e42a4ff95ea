"""``cooee bots webhooks``: URLs that the server sends to what comes for a bot."""

from datetime import datetime

import click

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import clock, safe, table
from cooee.domain.webhooks import EVENTS, Event
from cooee.protocol import webhooks as bodies

EVENT = click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(EVENTS),
    help="What it is told of; may be repeated. own: what the bot itself sends.",
)
BOT = click.argument("bot")
WEBHOOK = click.argument("webhook")


@click.group()
@account_options
def webhooks() -> None:
    """A bot's outgoing webhooks: what comes for the bot is sent to a URL, signed."""


@webhooks.command()
@BOT
@click.argument("target", metavar="URL")
@EVENT
@account_options
@pass_invocation
def create(invocation: Invocation, bot: str, target: str, events: tuple[Event, ...]) -> None:
    """Send what comes for BOT from now on to URL; messages of others, without --event.

    \b
    Example: cooee bots webhooks create echo https://bridge.example.org/cooee
    """  # noqa: D301  # click needs the character itself
    bot_id = checked_user(bot)
    made = invocation.call(lambda api: api.create_webhook(bot_id, target, events or ("message",)))
    invocation.note(f"Made the webhook {made.webhook_id}.")
    _tell_secret(invocation, made)


@webhooks.command("list")
@BOT
@account_options
@pass_invocation
def list_webhooks(invocation: Invocation, bot: str) -> None:
    """List a bot's outgoing webhooks."""
    bot_id = checked_user(bot)
    found = invocation.call(lambda api: api.webhooks(bot_id))
    for webhook in found:
        invocation.tell(record("webhook", webhook))
    rows = [
        (webhook.webhook_id, safe(webhook.url), " ".join(webhook.events), _state(webhook), str(webhook.dead_letters))
        for webhook in found
    ]
    invocation.say(*table(invocation.look, ("WEBHOOK", "URL", "TELLS", "STATE", "DEAD"), rows))
    if not found:
        invocation.note("It has none; `cooee bots webhooks create BOT URL` makes one.")


@webhooks.command()
@BOT
@WEBHOOK
@account_options
@pass_invocation
def show(invocation: Invocation, bot: str, webhook: str) -> None:
    """Show a webhook: its last error, its next attempt."""
    bot_id = checked_user(bot)
    found = invocation.call(lambda api: api.webhook(bot_id, webhook))
    invocation.tell(record("webhook", found), *(f"{name:10} {value}" for name, value in _rows(found, invocation.now)))


@webhooks.command()
@BOT
@WEBHOOK
@click.option("--target", metavar="URL", help="Send to URL from now on.")
@EVENT
@click.option("--enable/--disable", "enabled", default=None, help="Go on where it ended; send nothing for now.")
@account_options
@pass_invocation
def update(
    invocation: Invocation, bot: str, webhook: str, target: str | None, events: tuple[Event, ...], enabled: bool | None
) -> None:
    """Change a webhook; what failed is tried again at once."""
    bot_id = checked_user(bot)
    if target is None and not events and enabled is None:
        raise click.UsageError("Say what to change: --target, --event, --enable or --disable.")
    changed = invocation.call(
        lambda api: api.update_webhook(bot_id, webhook, url=target, events=events or None, enabled=enabled)
    )
    invocation.tell(record("webhook", changed), f"Changed {changed.webhook_id}: it is {_state(changed)}.")


@webhooks.command()
@BOT
@WEBHOOK
@account_options
@pass_invocation
def delete(invocation: Invocation, bot: str, webhook: str) -> None:
    """End a webhook, with its dead letters."""
    bot_id = checked_user(bot)
    invocation.call(lambda api: api.delete_webhook(bot_id, webhook))
    told = {"type": "webhook_deleted", "userId": bot_id, "webhookId": webhook}
    invocation.tell(told, f"{safe(webhook)} has ended.")


@webhooks.command()
@BOT
@WEBHOOK
@account_options
@pass_invocation
def test(invocation: Invocation, bot: str, webhook: str) -> None:
    """Have one signed request without events sent now, and say what came of it. Ends with 1 if it failed."""
    bot_id = checked_user(bot)
    tested = invocation.call(lambda api: api.test_webhook(bot_id, webhook))
    invocation.tell(record("webhook_tested", tested), f"Answered {tested.status}." if tested.status else "No answer.")
    if not tested.delivered:
        raise click.ClickException(safe(tested.error))


@webhooks.command()
@BOT
@WEBHOOK
@account_options
@pass_invocation
def rotate(invocation: Invocation, bot: str, webhook: str) -> None:
    """Give a webhook another secret; for 24 hours the former one signs too."""
    bot_id = checked_user(bot)
    _tell_secret(invocation, invocation.call(lambda api: api.rotate_webhook(bot_id, webhook)))


@webhooks.command()
@BOT
@WEBHOOK
@account_options
@pass_invocation
def dead(invocation: Invocation, bot: str, webhook: str) -> None:
    """List what a webhook gave up, newest first."""
    bot_id = checked_user(bot)
    found = invocation.call(lambda api: api.dead_letters(bot_id, webhook))
    for letter in found:
        invocation.tell(record("dead_letter", letter))
    now = invocation.now
    rows = [
        (
            letter.letter_id,
            clock(letter.died_at, now),
            ", ".join(f"{part.conversation_id} {part.first}-{part.last}" for part in letter.messages),
            "being tried again" if letter.retrying else safe(letter.error),
        )
        for letter in found
    ]
    invocation.say(*table(invocation.look, ("LETTER", "SINCE", "MESSAGES", "ERROR"), rows))
    if not found:
        invocation.note("There is no dead letter.")


@webhooks.command()
@BOT
@WEBHOOK
@click.argument("letter", required=False)
@account_options
@pass_invocation
def retry(invocation: Invocation, bot: str, webhook: str, letter: str | None) -> None:
    """Try a dead letter once more, named as `dead` names it; without LETTER all of them."""
    bot_id = checked_user(bot)
    count = invocation.call(lambda api: api.retry_dead_letters(bot_id, webhook, letter))
    invocation.tell({"type": "dead_letters_retrying", "letters": count}, f"Trying {count} once more.")


def _state(webhook: bodies.Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {safe(webhook.disabled_because)}"
    return f"failing: {safe(webhook.error)}" if webhook.error else "enabled"


def _rows(webhook: bodies.Webhook, now: datetime) -> list[tuple[str, str]]:
    rows = [
        ("webhook", webhook.webhook_id),
        ("URL", safe(webhook.url)),
        ("tells of", " ".join(webhook.events)),
        ("state", _state(webhook)),
        ("delivered", clock(webhook.delivered_at, now) if webhook.delivered_at else "never"),
        ("dead", str(webhook.dead_letters)),
    ]
    if webhook.error:
        rows.append(("failed", f"{clock(webhook.error_at, now)}, attempt {webhook.attempts}"))
    if webhook.next_attempt_at:
        rows.append(("next", clock(webhook.next_attempt_at, now)))
    return rows


def _tell_secret(invocation: Invocation, made: bodies.WebhookWithSecret) -> None:
    invocation.tell(record("webhook", made), made.secret)
    invocation.note("The receiver verifies signatures by this secret. It is shown only now.")
