"""Where the accounts of this machine are kept, and which of them a command uses.

Each account has a folder of its own, its *profile*: ``<home>/profiles/<name>/`` with the SDK's store. ``<home>`` is
``COOEE_HOME``, else the platform's folder for an application's state. A profile is named after its user unless ``--as``
names it. Which one a command uses: ``--as NAME``, else ``COOEE_TOKEN``, else ``COOEE_PROFILE``, else the one chosen by
``cooee accounts use``, else the only one that is logged in; with several nobody is guessed. The token is in the
profile's account file, or in the system's keyring (`Vault`).
"""

import difflib
import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from cooee.cli.errors import CliError, not_logged_in, usage
from cooee.cli.vault import Vault
from cooee.client.account import load_account
from cooee.client.errors import StoreUnusable
from cooee.client.model import Account

_CHOSEN = "default-profile"
DEFAULT_URL = "http://127.0.0.1:8080"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?", re.ASCII | re.IGNORECASE)


class Login(msgspec.Struct, frozen=True):
    """The account that a command uses. ``user_id`` is empty when only a token was given (``COOEE_TOKEN``)."""

    profile: str
    url: str
    user_id: str
    device_id: str
    token: str
    store: Path

    def __repr__(self) -> str:
        return f"Login({self.profile} at {self.url})"


def home(environment: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return the folder of all accounts; it need not exist."""
    if environment.get("COOEE_HOME"):
        return Path(environment["COOEE_HOME"]).expanduser()
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cooee"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cooee"
    return Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "cooee"


def checked_url(url: str) -> str:
    """Return ``url`` as accounts are kept by it: scheme and host in lower case, no slash at its end.

    Raises:
        CliError: it is not an http or https URL.
    """
    if not _URL.fullmatch(url):
        like = f"https://{url}" if _URL.fullmatch(f"https://{url}") and "://" not in url else DEFAULT_URL
        raise usage(f"{url!r} is not a server's URL; write it like {like}")
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")


def checked_name(name: str) -> str:
    """Return ``name`` if a profile may be called so.

    Raises:
        CliError: it is not 1 to 64 letters, digits, dots, dashes and underscores.
    """
    if not _NAME.fullmatch(name):
        raise usage(f"{name!r} cannot name a profile; use letters, digits, '.', '-' and '_'.")
    return name


class Profiles:
    """The profiles of this machine."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self.home = home(self._environment)
        self.vault = Vault(self._environment)

    def store(self, name: str) -> Path:
        """Return a profile's folder; it need not exist."""
        return self.home / "profiles" / checked_name(name)

    def all(self) -> dict[str, Account]:
        """Return the account of each profile, by name; profiles whose account cannot be read are left out."""
        folder = self.home / "profiles"
        found = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                account = load_account(path)
            except StoreUnusable:
                continue
            if account is not None and _NAME.fullmatch(path.name):
                found[path.name] = account
        return found

    def broken(self) -> list[str]:
        """Return the folders of the profiles whose account cannot be read."""
        found = []
        folder = self.home / "profiles"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                load_account(path)
            except StoreUnusable:
                found.append(str(path))
        return found

    def logged_in(self) -> list[str]:
        """Return the names of the profiles that hold a token."""
        return [name for name, account in self.all().items() if account.logged_in]

    def default_url(self) -> str:
        """Return where a new account is looked for when ``--url`` does not say."""
        return checked_url(self._environment.get("COOEE_URL") or DEFAULT_URL)

    def login(self, wanted: str | None, url: str | None = None) -> Login:
        """Return the account to use; with several, ``url`` tells the one of that server.

        Raises:
            CliError: exit 4 when nobody (or not the wanted one) is logged in, exit 2 when there are several.
        """
        token = self._environment.get("COOEE_TOKEN", "")
        if not wanted and token:
            return self._by_token(token, url)
        name, account = self.account(wanted, url)
        if not account.logged_in:
            raise not_logged_in(f"{account.user_id} is logged out; log in again: {login_command(name, account)}")
        held = account.token or self.vault.token(account)
        return Login(name, account.url, account.user_id, account.device_id, held, self.store(name))

    def account(self, wanted: str | None, url: str | None = None) -> tuple[str, Account]:
        """Return the profile to use and its account, which may be logged out; asks no keyring.

        Raises:
            CliError: as `login`.
        """
        at = checked_url(url) if url else None
        name = self.named(wanted or self._environment.get("COOEE_PROFILE") or self._usual(at), at)
        account = load_account(self.store(name))
        if account is None:
            raise not_logged_in(f"There is no account {name!r} on this machine{self._nearest(name)}")
        if at and checked_url(account.url) != at:
            raise usage(f"The profile {name!r} is {account.user_id}'s at {account.url}, not at {at}.")
        return name, account

    def named(self, wanted: str, at: str | None = None) -> str:
        """Return the profile that ``wanted`` means: its name, ``user@host``, or the user of one profile alone.

        ``at``: the server's URL, which tells one of several.

        Raises:
            CliError: ``user@host`` means none, or several.
        """
        user_id, is_address, host = wanted.partition("@")
        accounts = {name: one for name, one in self.all().items() if at in (None, checked_url(one.url))}
        if is_address:
            return self._at_host(accounts, user_id, host.lower())
        if self.store(wanted).is_dir() and (at is None or wanted in accounts):
            return wanted
        of_user = [name for name, account in accounts.items() if account.user_id == wanted]
        return of_user[0] if len(of_user) == 1 else wanted

    def _nearest(self, name: str) -> str:
        close = difflib.get_close_matches(name, self.all(), 1)
        return f". Did you mean {close[0]!r}?" if close else f"; log in first: cooee login {name}"

    @staticmethod
    def _at_host(accounts: Mapping[str, Account], user_id: str, host: str) -> str:
        found = [
            name
            for name, account in accounts.items()
            if account.user_id == user_id and host in {urlsplit(account.url).netloc, urlsplit(account.url).hostname}
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise usage(f"{user_id}@{host} may be {' or '.join(found)}; name one of these with --as.")
        raise not_logged_in(
            f"There is no account {user_id}@{host} on this machine; `cooee accounts` lists them, "
            f"`cooee login {user_id} --url …` adds one."
        )

    def chosen(self) -> str:
        """Return the profile that `choose` was given and that is still there, or nothing."""
        try:
            name = (self.home / _CHOSEN).read_text("ascii").strip()
        except (OSError, ValueError):
            return ""
        return name if _NAME.fullmatch(name) and self.store(name).is_dir() else ""

    def choose(self, name: str) -> None:
        """Let a profile be the one that acts when none is named; empty: none is."""
        path = self.home / _CHOSEN
        if not name:
            path.unlink(missing_ok=True)
            return
        draft = path.with_suffix(".new")
        draft.write_text(f"{checked_name(name)}\n", "ascii")
        draft.replace(path)

    def for_log_in(self, user_id: str, url: str, wanted: str | None) -> str:
        """Return the profile in which ``user_id`` of the server ``url`` logs in; a new one if need be.

        ``COOEE_PROFILE`` names it unless that is somebody else's.

        Raises:
            CliError: the wanted profile is somebody else's.
        """
        accounts = self.all()
        if wanted and "@" in wanted:
            wanted = self.named(wanted)
        usual = wanted or self._environment.get("COOEE_PROFILE")
        if usual:
            owner = accounts.get(checked_name(usual))
            if owner is None or (owner.user_id, checked_url(owner.url)) == (user_id, url):
                return usual
            if wanted:
                raise CliError(
                    f"The profile {wanted!r} is {owner.user_id}'s at {owner.url}; choose another name with --as, "
                    f"or leave --as out."
                )
        mine = [
            name for name, account in accounts.items() if (account.user_id, checked_url(account.url)) == (user_id, url)
        ]
        if mine:
            return mine[0]
        names = (user_id, *(f"{user_id}-{count}" for count in range(2, 1000)))
        return next(name for name in names if name not in accounts)

    def _usual(self, at: str | None) -> str:
        known = {name: account for name, account in self.all().items() if at in (None, checked_url(account.url))}
        if self.chosen() in known:
            return self.chosen()
        names = [name for name, account in known.items() if account.logged_in]
        if len(names) == 1:
            return names[0]
        if names:
            raise usage(
                f"Several accounts are logged in here ({', '.join(names)}); say which: cooee --as {names[0]} …, "
                f"for this terminal: export COOEE_PROFILE={names[0]}, or for good: cooee accounts use {names[0]}"
            )
        if len(known) == 1:
            return next(iter(known))
        where = f" at {at}" if at else ""
        raise not_logged_in(
            f"Nobody is logged in here{where}; create an account with `cooee register NAME` "
            "or log in with `cooee login NAME`."
        )

    def _by_token(self, token: str, url: str | None) -> Login:
        where = checked_url(url) if url else self.default_url()
        digest = hashlib.sha256(f"{where} {token}".encode()).hexdigest()[:16]
        return Login("COOEE_TOKEN", where, "", "", token, self.home / "tokens" / digest)


def login_command(name: str, account: Account) -> str:
    """Return the command that logs ``account`` in again."""
    options = "" if name == account.user_id else f"--as {name} "
    where = "" if account.url == DEFAULT_URL else f" --url {account.url}"
    return f"cooee {options}login {account.user_id}{where}"
