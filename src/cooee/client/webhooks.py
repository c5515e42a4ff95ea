"""For receivers of outgoing webhooks: tell what this server sent from what anybody else did (PROTOCOL.md §17)."""

import time
from collections.abc import Mapping

from cooee.protocol.webhook_signature import TOLERANCE_S, WebhookNotVerified, verify

__all__ = ["WebhookNotVerified", "verify_webhook"]


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the request's ``webhook-id``, which is the same whenever the same events come again: keep it, drop those.

    ``secret`` is the ``whsec_…`` that was shown when the webhook was made; ``body`` the bytes that came, unparsed.

    Raises:
        WebhookNotVerified: it is not from there, or older than ``tolerance_s`` seconds; answer 401.
        ValueError: ``secret`` is none.
    """
    return verify(secret, headers, body, time.time() if now_s is None else now_s, tolerance_s)
