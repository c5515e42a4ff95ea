"""Getting an account: registering, logging in, and remembering it in the store's account file."""

import platform
from collections.abc import Callable
from pathlib import Path

import msgspec

from cooee.client.account import StoreLock, load_account, make_folder, save_account
from cooee.client.api import Api
from cooee.client.errors import ServerError, StoreMismatch
from cooee.client.model import Account
from cooee.domain.errors import ErrorCode

Keep = Callable[[Account], Account]
"""Is given a new account and returns what of it is written to the store: no token, if that is kept elsewhere."""


def default_device_name() -> str:
    """Return a name by which people tell this machine from others."""
    return (platform.node() or "computer")[:64]


def store_folder(store: str | Path) -> Path:
    """Return the folder, with ``~`` as the home."""
    return Path(store).expanduser()


async def register(
    url: str,
    user_id: str,
    password: str,
    *,
    display_name: str | None = None,
    invite: str | None = None,
    ca_file: str | Path | None = None,
) -> None:
    """Create an account; log in afterwards. ``ca_file`` as for `Client`.

    Raises:
        ServerError: ``conflict`` when the name is taken, ``forbidden`` when registration is not open.
        ConnectionFailed: the server cannot be reached.
    """
    async with Api(url, ca_file=ca_file) as api:
        await api.register(user_id, password, display_name=display_name or "", invite=invite or "")


async def log_in(  # noqa: PLR0913 - each has a name, and a default but for those that say who and where
    url: str,
    user_id: str,
    password: str,
    *,
    store: str | Path,
    device_name: str | None = None,
    device_type: str = "cli",
    keep: Keep | None = None,
    ca_file: str | Path | None = None,
) -> Account:
    """Log in and keep the token in ``store``; a device that was logged out there goes on with its outbox.

    With ``keep``, what that returns is written; the token is with its caller then, and given as ``Client(token=…)``.
    ``ca_file`` as for `Client`.

    Raises:
        ServerError: wrong name or password (``unauthorized``), or too many tries.
        StoreLocked, StoreMismatch, StoreUnusable: the store is in use, another account's, or broken.
    """
    folder = store_folder(store)
    make_folder(folder)
    lock = StoreLock(folder)
    try:
        async with Api(url, ca_file=ca_file) as api:
            return await log_in_with(api, folder, user_id, password, device_name, device_type, keep)
    finally:
        lock.release()


async def log_in_with(
    api: Api,
    folder: Path,
    user_id: str,
    password: str,
    device_name: str | None,
    device_type: str,
    keep: Keep | None = None,
) -> Account:
    """Log in through ``api`` and write the account file of ``folder``, whose lock the caller has."""
    former = load_account(folder)
    check_owner(folder, former, api.url, user_id)
    name = device_name or default_device_name()
    device_id = former.device_id if former is not None else None
    session = None
    if device_id is not None:
        try:
            session = await api.log_in(
                user_id, password, device_name=name, device_type=device_type, device_id=device_id
            )
        except ServerError as problem:
            if problem.code != ErrorCode.NOT_FOUND:
                raise
    if session is None:
        session = await api.log_in(user_id, password, device_name=name, device_type=device_type)
    account = Account(api.url, session.user_id, session.device_id, session.token)
    save_account(folder, keep(account) if keep is not None else account)
    api.token = account.token
    return account


async def adopt_token(api: Api, folder: Path, token: str) -> Account:
    """Find out whose ``token`` it is and write the account file of ``folder``, whose lock the caller has.

    What the file knows already is not written again: a token that is kept elsewhere stays there. A person's account
    does not become a bot's, which would encrypt nothing, because the server says so.
    """
    former = load_account(folder)
    if former is not None and former.owns(token):
        return msgspec.structs.replace(former, token=token)
    session = await api.session()
    check_owner(folder, former, api.url, session.user_id)
    bot = session.bot and (former is None or former.bot)
    account = Account(api.url, session.user_id, session.device_id, token, bot=bot)
    save_account(folder, account)
    return account


def check_owner(folder: Path, account: Account | None, url: str, user_id: str | None) -> None:
    """Refuse a store of somebody else, or of another server.

    Raises:
        StoreMismatch: it is.
    """
    if account is None:
        return
    if user_id is not None and account.user_id != user_id:
        raise StoreMismatch(f"the store {folder} belongs to {account.user_id}; use another folder for {user_id}")
    if account.url != url:
        raise StoreMismatch(f"the store {folder} belongs to {account.url}; use another folder for {url}")
