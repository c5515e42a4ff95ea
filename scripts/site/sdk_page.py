"""The page about the SDK: every public name of `cooee.client`, from its docstrings (Sphinx's autodoc reads them)."""

import inspect
from collections.abc import Iterator

from cooee import client
from cooee.client.calls import Calls

_GROUPS = {
    "The client": ("Client", "ClientSettings", "register", "log_in", "load_account", "Account"),
    "Events": (
        *("Event", "Message", "MessageDeleted", "TickChanged", "ConversationUpdated", "ConnectionState"),
        *("Presence", "Typing", "ToDevice", "AccountUpdated"),
    ),
    "What the store knows": ("ConversationView", "HistoryPage", "Pending"),
    "HTTP operations": ("Api",),
    "Bots": ("inbox", "verify_webhook", "WebhookNotVerified"),
    "Errors": (
        *("CooeeClientError", "ServerError", "NotLoggedIn", "ConnectionFailed", "SendFailed", "Stopped"),
        *("StoreError", "StoreLocked", "StoreMismatch", "StoreUnusable"),
    ),
}
_HEAD = """SDK reference
=============

.. py:module:: cooee.client

Everything that ``cooee.client`` offers. :doc:`/sdk` shows how to begin with it, and says what it promises.
"""


def sdk_page() -> str:
    """Return the page as reStructuredText. A public name that no group has stands at the end."""
    parts = [_HEAD]
    grouped = {name for names in _GROUPS.values() for name in names}
    further = tuple(name for name in client.__all__ if name not in grouped)
    for title, names in {**_GROUPS, **({"Further names": further} if further else {})}.items():
        parts += [title, "-" * len(title), ""]
        for name in (each for each in names if each in client.__all__):
            parts += [*_entry(name), ""]
    return "\n".join(parts)


def _entry(name: str) -> Iterator[str]:
    found = getattr(client, name)
    if not inspect.isclass(found):
        yield f".. {'autofunction' if inspect.isroutine(found) else 'autodata'}:: cooee.client.{name}"
        return
    yield f".. autoclass:: cooee.client.{name}"
    yield "   :members:"
    yield "   :undoc-members:"
    yield "   :member-order: bysource"
    if issubclass(found, Calls):  # its operations stand in groups, which are its bases
        yield "   :inherited-members: Calls"
    if issubclass(found, Exception):
        yield "   :show-inheritance:"
