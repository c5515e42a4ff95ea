"""Operations: what commands do with an account's store, here or in the program that has it open.

A store has one writer. While `cooee listen` or `cooee chat` runs, that is it; so what a command wants of the SDK's
client is an operation with a name, a *wish* and a *result*, both plain records: it is done by this process when nobody
has the store, else by the one who has it (`at_hand`). What it tells meanwhile (progress, ticks) are records too.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

from cooee.client import Client

W = TypeVar("W")
R = TypeVar("R")

Tell = Callable[[msgspec.Struct], None]
"""Is given what happens meanwhile."""


class Operation(Generic[W, R]):
    """One operation. ``result`` is the type R, as msgspec reads it.

    ``told``: the type of what it tells meanwhile; ``live``: it needs a connection of the client.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Client, W, Tell], Awaitable[R]],
        wish: type[W],
        result: Any,
        *,
        told: Any = None,
        live: bool = True,
    ) -> None:
        self.name = name
        self.run = run
        self.wish = wish
        self.result = result
        self.told = told
        self.live = live


OPERATIONS = {
    "send": ("cooee.cli.sending", "SEND"),
    "history": ("cooee.cli.reading", "HISTORY"),
    "page": ("cooee.cli.reading", "PAGE"),
    "file": ("cooee.cli.reading", "FILE"),
    "waits": ("cooee.cli.reading", "WAITS"),
    "read": ("cooee.cli.reading", "READ"),
    "search": ("cooee.cli.reading", "SEARCH"),
    "react": ("cooee.cli.amending", "REACT"),
    "edit": ("cooee.cli.amending", "EDIT"),
    "timer": ("cooee.cli.amending", "TIMER"),
    "mode": ("cooee.cli.amending", "MODE"),
    "diagnose": ("cooee.cli.doctor", "DIAGNOSE"),
    "verify": ("cooee.cli.verify", "VERIFY"),
    "devices": ("cooee.cli.devices", "DEVICES"),
    "revoke": ("cooee.cli.devices", "REVOKE"),
    "start_anew": ("cooee.cli.devices", "START_ANEW"),
    "prepare": ("cooee.cli.linking", "PREPARE"),
    "be_linked": ("cooee.cli.linking", "BE_LINKED"),
    "look_at_code": ("cooee.cli.linking", "LOOK_AT_CODE"),
    "link": ("cooee.cli.linking", "LINK"),
    "outbox": ("cooee.cli.outbox", "OUTBOX"),
    "outbox_change": ("cooee.cli.outbox", "CHANGE"),
    "overview": ("cooee.cli.amending", "OVERVIEW"),
}
"""Where each operation is; imported when it is wanted."""


def find_operation(name: str) -> Operation[Any, Any] | None:
    """Return the operation of a name, or None."""
    import importlib  # noqa: PLC0415  # only where something is asked for by name

    if name not in OPERATIONS:
        return None
    module, attribute = OPERATIONS[name]
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, Operation)  # noqa: S101  # the table above is code, not input
    return found
