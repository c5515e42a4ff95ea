"""What a client consists of while it is open: the store with its lock, the account, and what works on them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp

from cooee.client.account import StoreLock, load_account, make_folder
from cooee.client.api import Api, new_http_session
from cooee.client.archives import Archives
from cooee.client.connection import Connection
from cooee.client.e2ee_worker import E2eeWorker
from cooee.client.errors import ConnectionFailed, NotLoggedIn, ServerError, StoreError
from cooee.client.expiry import Expiry
from cooee.client.history import History
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.live import Live
from cooee.client.login import adopt_token, check_owner, log_in_with
from cooee.client.model import Account
from cooee.client.sending import Sending
from cooee.client.store import Store
from cooee.client.store_key import open_key
from cooee.client.turn import Turn
from cooee.client.uploading import Uploading

_CLOSE_S = 3.0


class Credentials(NamedTuple):
    """Who wants in, how the device is called, and what opens its store (see `store_key.open_key`)."""

    user: str | None
    password: str | None
    token: str | None
    device_name: str | None
    device_type: str
    passphrase: str | None = None
    store_key: bytes | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.user})"


class Opened(NamedTuple):
    """The parts of an open client."""

    account: Account
    http: aiohttp.ClientSession
    api: Api
    ledger: Ledger
    live: Live
    sending: Sending
    history: History
    uploading: Uploading
    worker: E2eeWorker | None


@asynccontextmanager
async def opened(  # noqa: PLR0913 - each has a name, and most a default
    url: str,
    folder: Path,
    credentials: Credentials,
    wake: Callable[[], None],
    *,
    follow: bool,
    acknowledge: bool,
    ca_file: str | Path | None = None,
    encrypts: bool = False,
) -> AsyncIterator[Opened]:
    """Open the store in ``folder``, log in if need be, and close everything in the end.

    ``encrypts``: with end-to-end encryption, which is driven from here on.

    Raises:
        StoreLocked, StoreMismatch, StoreUnusable, StoreKeyError: the store cannot be used.
        NotLoggedIn, ServerError, ConnectionFailed: there is no account in the store, and the log-in failed.
    """
    make_folder(folder)
    lock = StoreLock(folder)
    try:
        async with new_http_session(ca_file) as http:
            api = Api(url, http_session=http)
            account = await _account(api, folder, credentials)
            key = await asyncio.to_thread(
                open_key, folder, passphrase=credentials.passphrase, store_key=credentials.store_key
            )
            store = await asyncio.to_thread(Store, folder, key)
            ledger = await Ledger.open(store, account.me, encrypts=encrypts and not account.bot)
            try:
                live = Live(ledger.state, follow=follow, acknowledge_to_device=acknowledge, blobs=ledger.blobs)
                sending = Sending(ledger, live, wake)
                await sending.give_up_foreign()
                await sending.expire(wall_ms())
                uploading = Uploading(ledger, api, sending, folder)
                worker = await _worker(ledger, live, api, folder, wake)
                try:
                    async with _working(ledger, worker):
                        yield Opened(account, http, api, ledger, live, sending, History(ledger, api), uploading, worker)
                finally:
                    await uploading.close()
            finally:
                await ledger.close()
    finally:
        lock.release()


async def _worker(ledger: Ledger, live: Live, api: Api, folder: Path, wake: Callable[[], None]) -> E2eeWorker | None:
    """Return what drives the agent, if there is one; what came out of a backup begins anew first."""
    if ledger.agent is None:
        return None

    async def step(fill: Callable[[Turn], None]) -> Turn:
        turn = await ledger.step(fill)
        live.absorb(turn, ledger.clock())
        wake()
        return turn

    if ledger.store.restored:
        await step(lambda turn: turn.draft.restored())
        await ledger.run(ledger.store.settle_restored)
    worker = E2eeWorker(ledger, ledger.agent, api, Archives(ledger, api, folder, step), step)
    ledger.acquaint = worker.acquaint
    return worker


@asynccontextmanager
async def _working(ledger: Ledger, worker: E2eeWorker | None) -> AsyncIterator[None]:
    """Let messages expire meanwhile, and the worker work."""
    tasks = [asyncio.create_task(Expiry(ledger).keep_sweeping(), name="cooee-expiry")]
    if worker is not None:
        tasks.append(asyncio.create_task(worker.run(), name="cooee-e2ee"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _account(api: Api, folder: Path, credentials: Credentials) -> Account:
    account = load_account(folder)
    check_owner(folder, account, api.url, credentials.user)
    if credentials.token is not None:
        api.token = credentials.token
        return await adopt_token(api, folder, credentials.token)
    if account is not None and account.token:
        api.token = account.token
        return account
    return await _log_in(api, folder, credentials)


async def _log_in(api: Api, folder: Path, credentials: Credentials) -> Account:
    former = load_account(folder)
    if credentials.password is None and former is not None and former.logged_in:
        raise NotLoggedIn(f"the token of {former.user_id} is not in the store {folder}; give it as Client(token=…)")
    if credentials.user is None or credentials.password is None:
        raise NotLoggedIn(f"nobody is logged in at {api.url} with the store {folder}; log in first")
    return await log_in_with(
        api, folder, credentials.user, credentials.password, credentials.device_name, credentials.device_type
    )


async def log_in_again(parts: Opened, folder: Path, credentials: Credentials) -> bool:
    """Get a new token for the same device; False when that does not work."""
    with suppress(ServerError, ConnectionFailed, StoreError):
        account = await _log_in(parts.api, folder, credentials)
        return account.device_id == parts.account.device_id
    return False


@asynccontextmanager
async def running(connection: Connection, parts: Opened) -> AsyncIterator[None]:
    """Keep the connection and what goes on beside it; in the end say what is left, then close."""
    keeping = asyncio.create_task(connection.run(), name="cooee-connection")
    beside = [
        asyncio.create_task(parts.sending.keep_fresh(), name="cooee-outbox-expiry"),
        asyncio.create_task(parts.uploading.keep_going(), name="cooee-uploads"),
    ]
    try:
        yield
    finally:
        connection.close()
        await asyncio.wait((keeping,), timeout=_CLOSE_S)
        keeping.cancel()
        for task in beside:
            task.cancel()
        await asyncio.gather(keeping, *beside, return_exceptions=True)
