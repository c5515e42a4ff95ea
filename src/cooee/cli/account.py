"""``cooee register``, ``login``, ``logout`` and ``whoami``."""

import platform
import shutil
from pathlib import Path

import click
import msgspec

from cooee.cli.accounts import account_record, tell_accounts
from cooee.cli.choices import account_options
from cooee.cli.errors import NOT_LOGGED_IN, CliError, explained, sentence
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.keeping import dropped, held_token, keeper, keyring_choice, moved, place_in_words, place_of
from cooee.cli.linking import PREPARE, Step
from cooee.cli.names import USER
from cooee.cli.performing import encryption_of, perform_as
from cooee.cli.profile import Login, checked_url
from cooee.cli.render import safe
from cooee.cli.secret_input import password, password_stdin
from cooee.cli.trouble import HOW_TO_LINK
from cooee.cli.unlocking import forget_key
from cooee.cli.vault import VaultFailed
from cooee.client import log_in as sdk_log_in
from cooee.client import register as sdk_register
from cooee.client.account import StoreLock, load_account, make_folder, save_account
from cooee.client.api import Api
from cooee.client.errors import ConnectionFailed, CooeeClientError, NotLoggedIn
from cooee.client.login import Keep
from cooee.client.model import Account
from cooee.domain.errors import ErrorCode
from cooee.domain.ids import is_user_id

_DEVICE_NAME = click.option(
    "--device-name", metavar="TEXT", help="How you tell your devices apart  [default: this machine's name]"
)


def checked_user(text: str) -> str:
    """Return a userId, in lower case as all are.

    Raises:
        click.BadParameter: it cannot be one.
    """
    user_id = text.lower()
    if not is_user_id(user_id):
        raise click.BadParameter(
            f"{text!r} cannot be a userId: 2 to 32 of a-z, 0-9, '_', '.' and '-', beginning with a letter or digit."
        )
    return user_id


@click.command()
@click.argument("user")
@click.option("--display-name", metavar="TEXT", help="How others see you  [default: the userId]")
@click.option("--invite", metavar="CODE", help="Where registration is by invite: the code you were given.")
@_DEVICE_NAME
@keyring_choice
@password_stdin
@account_options
@pass_invocation
def register(
    invocation: Invocation,
    user: str,
    *,
    display_name: str | None,
    invite: str | None,
    device_name: str | None,
    in_keyring: bool,
    password_stdin: bool,
) -> None:
    """Create the account USER and log in.

    The password is asked for unseen. Example: cooee register alice
    """
    user_id = checked_user(user)
    url = _server(invocation)
    profile = invocation.profiles.for_log_in(user_id, url, invocation.profile)
    secret = password(f"New password for {user_id}", from_stdin=password_stdin, confirm=True)

    store = invocation.profiles.store(profile)
    make_folder(store.parent)  # before there is an account that cannot be kept

    async def registering() -> Account:
        await sdk_register(url, user_id, secret, display_name=display_name, invite=invite)
        return await _log_in(url, user_id, secret, store, device_name, keeper(invocation, in_keyring=in_keyring))

    account = invocation.run(registering())
    invocation.tell(
        account_record("registered", profile, account),
        f"Registered {user_id} at {account.url} and logged in.",
    )
    _prepare(invocation, profile, account)
    _hint(invocation, profile)


@click.command()
@USER
@_DEVICE_NAME
@keyring_choice
@password_stdin
@account_options
@pass_invocation
def login(
    invocation: Invocation, user: str, *, device_name: str | None, in_keyring: bool, password_stdin: bool
) -> None:
    """Log in as USER. Several accounts, of several servers, may be logged in on one machine.

    Who is logged in already needs no password, and may move the token into the keyring, or out of it.


    Example: cooee login alice --url https://chat.example.org
    """
    user_id = checked_user(user)
    url = _server(invocation)
    profile = invocation.profiles.for_log_in(user_id, url, invocation.profile)
    store = invocation.profiles.store(profile)
    held = load_account(store)
    token = held_token(invocation, held) if held is not None else ""
    if held is not None and token and invocation.run(_valid(held.url, token)):
        where = moved(invocation, store, held, token, in_keyring=in_keyring)
        invocation.tell(
            account_record("logged_in", profile, held), f"{user_id} is logged in here already ({held.url}).{where}"
        )
        return
    secret = password(f"Password for {user_id}", from_stdin=password_stdin)
    keep = keeper(invocation, in_keyring=in_keyring)
    account = invocation.run(_log_in(url, user_id, secret, store, device_name, keep))
    if held is not None and held.device_id != account.device_id:
        dropped(invocation, held)
    invocation.tell(account_record("logged_in", profile, account), f"Logged in as {user_id} at {account.url}.")
    if _prepare(invocation, profile, account) == "unlinked":
        invocation.note(HOW_TO_LINK)
        return
    _hint(invocation, profile)


@click.command()
@click.option("--forget", is_flag=True, help="Forget the token here even if the server cannot be told.")
@click.option("--erase", is_flag=True, help="Also erase the messages kept on this machine.")
@account_options
@pass_invocation
def logout(invocation: Invocation, forget: bool, erase: bool) -> None:
    """Log out: the server ends this device's token, and it is forgotten here.

    The messages kept on this machine stay for the next log-in unless --erase is given.
    """
    chosen = _to_log_out(invocation, forget=forget)

    async def logging_out() -> None:
        if not chosen.token:
            return
        async with Api(chosen.url, chosen.token) as api:
            try:
                await api.log_out()
            except NotLoggedIn:
                pass  # the token had ended already
            except ConnectionFailed as problem:
                if not forget:
                    raise ConnectionFailed(f"{problem} `cooee logout --forget` does not ask it") from None

    if erase and chosen.store.is_dir():
        StoreLock(chosen.store).release()  # before anything ends: nobody else may be writing there
    invocation.run(logging_out())
    forget_token(invocation, chosen.profile, erase=erase)
    invocation.tell(
        {"type": "logged_out", "profile": chosen.profile, "userId": chosen.user_id or None, "url": chosen.url},
        f"Logged out {chosen.user_id or 'the token'}.",
    )


def _to_log_out(invocation: Invocation, *, forget: bool) -> Login:
    """Return the account to log out; with ``forget``, one whose token cannot be had from the keyring too."""
    try:
        return invocation.login()
    except VaultFailed as failure:
        if not forget:
            raise VaultFailed(f"{failure.message} `cooee logout --forget` does without it.") from None
        name, account = invocation.profiles.account(invocation.profile, invocation.url)
        return Login(name, account.url, account.user_id, account.device_id, "", invocation.profiles.store(name))


def forget_token(invocation: Invocation, profile: str, *, erase: bool) -> None:
    """Take the token out of a profile, or the whole profile from this machine."""
    store = invocation.profiles.store(profile)
    account = load_account(store)
    if account is None:
        return
    dropped(invocation, account)
    if erase:
        StoreLock(store).release()  # nobody else writes there now
        forget_key(invocation, store)
        shutil.rmtree(store)
    else:
        save_account(store, msgspec.structs.replace(account, token="", token_digest=""))


@click.command()
@click.option("--all", "everybody", is_flag=True, help="List the accounts of this machine; asks no server.")
@account_options
@pass_invocation
def whoami(invocation: Invocation, everybody: bool) -> None:
    """Say who is logged in, and where; the server is asked whether that still holds."""
    if everybody:
        tell_accounts(invocation)
        return
    chosen = invocation.login()
    account = load_account(chosen.store) if chosen.user_id else None

    async def asking(api: Api) -> None:
        me = await api.me()
        session = await api.session()
        fields = {
            "profile": chosen.profile,
            "url": chosen.url,
            "userId": me.user_id,
            "displayName": me.display_name,
            "deviceId": session.device_id,
            "deviceName": session.device_name,
            "admin": me.admin,
            "bot": session.bot,
            "scopes": list(session.scopes),
            "tokenIn": place_of(account) if account is not None else "environment",
        }
        where = "in COOEE_TOKEN" if account is None else place_in_words(account, chosen.store)
        name = "" if me.display_name == me.user_id else f" ({safe(me.display_name)})"
        invocation.tell(
            {"type": "account", **fields},
            f"{me.user_id}{name} at {chosen.url}",
            f"device {session.device_id} ({safe(session.device_name)}), profile {chosen.profile}",
            *((f"a bot's token, for {', '.join(session.scopes)}",) if session.bot else ()),
            f"the token is {where}",
        )

    invocation.call(asking)


def _server(invocation: Invocation) -> str:
    return checked_url(invocation.url) if invocation.url else invocation.profiles.default_url()


async def _log_in(url: str, user_id: str, secret: str, store: Path, device_name: str | None, keep: Keep) -> Account:
    try:
        return await sdk_log_in(
            url,
            user_id,
            secret,
            store=store,
            device_name=device_name or f"cooee on {platform.node() or 'a terminal'}"[:64],
            device_type="cli",
            keep=keep,
        )
    except NotLoggedIn as refusal:
        raise CliError(sentence(refusal.message), NOT_LOGGED_IN, code=ErrorCode.UNAUTHORIZED.value) from None


async def _valid(url: str, token: str) -> bool:
    try:
        async with Api(url, token) as api:
            await api.me()
    except NotLoggedIn:
        return False
    return True


def _prepare(invocation: Invocation, profile: str, account: Account) -> str:
    """Publish the keys of the device; return how it stands. What cannot be done now is done later."""
    store = invocation.profiles.store(profile)
    chosen = Login(profile, account.url, account.user_id, account.device_id, account.token, store)
    if encryption_of(chosen) == "off":
        return "off"
    try:
        return perform_as(invocation, chosen, PREPARE, Step()).standing
    except (CooeeClientError, CliError) as problem:
        invocation.note(f"The keys of this device are not published yet: {explained(problem).message}")
        return "preparing"


def _hint(invocation: Invocation, profile: str) -> None:
    others = [name for name in invocation.profiles.logged_in() if name != profile]
    if others:
        invocation.note(
            f"{', '.join([profile, *others])} are logged in here: say who acts with --as, as in "
            f"`cooee --as {profile} listen`,\nor for this terminal: export COOEE_PROFILE={profile}"
        )
    else:
        invocation.note("Next: `cooee listen` shows what arrives, `cooee send NAME hello` sends.")
