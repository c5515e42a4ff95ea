"""Doing an operation: by the client of this process, or by that of the program that has the store open."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from cooee.cli.at_hand import ask, somebody_at_hand
from cooee.cli.errors import CliError, sentence, usage
from cooee.cli.invocation import Invocation
from cooee.cli.operation import Operation, Tell
from cooee.cli.profile import Login
from cooee.cli.unlocking import store_key
from cooee.client import Client, StoreLocked

W = TypeVar("W")
R = TypeVar("R")

VARIABLE = "COOEE_ENCRYPTION"
PATIENCE_S = 10.0
"""How long another command of the same account is waited for."""
_AGAIN_S = 0.1


def _nothing(_: Any) -> None:
    """Show nothing of what is told."""


def encryption_of(chosen: Login) -> Literal["on", "off"]:
    """Return whether ``chosen`` encrypts: accounts do, and a token without a profile (``COOEE_TOKEN``) does not.

    Raises:
        CliError: ``COOEE_ENCRYPTION`` is neither empty, ``on`` nor ``off``.
    """
    wanted = os.environ.get(VARIABLE, "").lower()
    if wanted not in {"", "on", "off"}:
        raise usage(f"{VARIABLE} is {wanted!r}; it may be on or off.")
    if wanted:
        return "on" if wanted == "on" else "off"
    return "on" if chosen.user_id else "off"


def client_of(invocation: Invocation, chosen: Login, *, live: bool = True, follow_large_groups: bool = False) -> Client:
    """Return the SDK's client of an account, not yet open; what its store needs to be opened is asked for now.

    Raises:
        CliError, StoreError: the key of the store is not to be had.
    """
    return Client(
        chosen.url,
        store=chosen.store,
        token=chosen.token,
        live=live,
        follow_large_groups=follow_large_groups,
        encryption=encryption_of(chosen),
        store_key=store_key(invocation, chosen),
    )


class Worker(Protocol):
    """Does operations: this process, or the program that has the store open."""

    async def do(self, operation: Operation[W, R], wish: W, tell: Tell = ...) -> R:
        """Do ``operation``; ``tell`` is given what it tells meanwhile. Raises as the operation does, or CliError."""
        ...


class _Here:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def do(self, operation: Operation[W, R], wish: W, tell: Tell = _nothing) -> R:
        return await operation.run(self._client, wish, tell)


class _There:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def do(self, operation: Operation[W, R], wish: W, tell: Tell = _nothing) -> R:
        return await ask(self._folder, operation, wish, tell)


Opening = Callable[[], AbstractAsyncContextManager[Worker]]


def worker_of(invocation: Invocation, chosen: Login, *, live: bool = True) -> Opening:
    """Return what opens a worker; what the store needs to be opened is asked for now.

    Raises:
        CliError, StoreError: the key of the store is not to be had.
    """
    there = somebody_at_hand(chosen.store)
    client = None if there else client_of(invocation, chosen, live=live)
    return lambda: _opened(chosen.store, client)


@asynccontextmanager
async def _opened(folder: Path, client: Client | None) -> AsyncIterator[Worker]:
    """Open the client, once whoever has the store is done with it, or turn to him if he can be asked.

    Raises:
        CliError: another program has the store and does not answer, or it ended just now (``store``).
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    async with AsyncExitStack() as stack:
        worker: Worker = _There(folder)
        while client is not None:
            try:
                worker = _Here(await stack.enter_async_context(client))
                break
            except StoreLocked as locked:
                if await asyncio.to_thread(somebody_at_hand, folder):
                    break
                if loop.time() > until:
                    raise CliError(sentence(str(locked)), code="store") from None
            await asyncio.sleep(_AGAIN_S)
        yield worker


def perform(
    invocation: Invocation, operation: Operation[W, R], wish: W, tell: Tell = _nothing, *, bar: bool = True
) -> R:
    """Do ``operation`` as the chosen account, and return its result. ``tell`` is given what it tells meanwhile.

    Raises:
        CliError: it could not be done; another program has the store, and does not do it (``store``).
        CooeeClientError: as the operation says.
    """
    return perform_as(invocation, invocation.login(), operation, wish, tell, bar=bar)


def perform_as(
    invocation: Invocation,
    chosen: Login,
    operation: Operation[W, R],
    wish: W,
    tell: Tell = _nothing,
    *,
    bar: bool = True,
) -> R:
    """Do ``operation`` as ``chosen``; else as `perform`."""
    opening = worker_of(invocation, chosen, live=operation.live)

    async def working() -> R:
        async with opening() as worker:
            return await worker.do(operation, wish, tell)

    return invocation.run(working(), bar=bar)
