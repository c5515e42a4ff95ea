"""Tokens and keys of stores in the system's keyring, where there is one that is locked with the user's session.

macOS Keychain, Windows Credential Locker, and the Secret Service or KWallet of a desktop. What keeps secrets in the
clear or nowhere (the null, fail and plaintext backends, all that `keyring` itself does not recommend) is not used. A
keyring may ask its owner to unlock it, and may be broken; so each question is put by a thread of its own, and given up
in time.
"""

import base64
import binascii
import queue
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import click

from cooee.cli.errors import CliError, not_logged_in, usage
from cooee.client.key_wrap import StoreKey
from cooee.client.model import Account

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")
SERVICE = "cooee"
VARIABLE = "COOEE_KEYRING"
PATIENCE_S = 60.0
"""How long somebody has to type the keyring's password."""
_HINT_S = 2.0
_UNSAFE = ("null", "fail", "plaintext")


class VaultFailed(CliError):
    """The keyring did not do what it was asked to; the text says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="keyring")


class NoVault(VaultFailed):
    """There is no keyring here that may be trusted."""


class Vault:
    """The system's keyring, asked only when a token or a key is put into it, looked for, or dropped."""

    def __init__(self, environment: Mapping[str, str], *, patience_s: float = PATIENCE_S) -> None:
        """Take note of ``COOEE_KEYRING``; nothing is asked yet.

        Raises:
            CliError: it is neither empty, ``on`` nor ``off``.
        """
        chosen = environment.get(VARIABLE, "").lower()
        if chosen not in {"", "on", "off"}:
            raise usage(f"{VARIABLE} is {chosen!r}; it may be on or off.")
        self.off = chosen == "off"
        self._patience_s = patience_s

    def usable(self) -> bool:
        """Tell whether there is a keyring that may be trusted with a token. Asks it nothing yet.

        Raises:
            VaultFailed: there may be one, but it cannot be loaded.
        """
        if self.off:
            return False
        try:
            self._ask(_backend)
        except NoVault:
            return False
        return True

    def put(self, account: Account) -> None:
        """Keep the account's token, in the place of a former one of its device; read back before it counts.

        Raises:
            VaultFailed: it is not kept.
        """

        def putting() -> str | None:
            backend = _backend()
            backend.set_password(SERVICE, _entry(account), account.token)
            return backend.get_password(SERVICE, _entry(account))

        if self._ask(putting) != account.token:
            raise VaultFailed("it forgets what it is given")

    def token(self, account: Account) -> str:
        """Return the token of an account that keeps it here.

        Raises:
            VaultFailed: the keyring is off, locked or broken; the text says what to do.
            CliError: exit 4: it holds no such token any more.
        """
        again = f"or log in again: cooee login {account.user_id} --url {account.url}"
        if self.off:
            raise VaultFailed(
                f"The token of {account.user_id} is in the keyring, and {VARIABLE}=off forbids to ask it; unset that, "
                f"{again}"
            )
        try:
            token = self._ask(lambda: _backend().get_password(SERVICE, _entry(account)))
        except VaultFailed as failure:
            raise VaultFailed(
                f"The token of {account.user_id} cannot be had from the keyring: {failure.message}. Unlock it, {again}"
            ) from None
        if not token or not account.owns(token):
            raise not_logged_in(
                f"The keyring holds no token of {account.user_id} any more; "
                f"log in again: cooee login {account.user_id} --url {account.url}"
            )
        return token

    def drop(self, account: Account) -> None:
        """Forget an account's token; one that is not there is forgotten already.

        Raises:
            VaultFailed: it may still be there.
        """
        if self.off:
            raise VaultFailed(f"{VARIABLE}=off forbids to ask the keyring")

        def dropping() -> None:
            backend = _backend()
            if backend.get_password(SERVICE, _entry(account)) is not None:
                backend.delete_password(SERVICE, _entry(account))

        self._ask(dropping)

    # --- keys of stores, known by their check value (`client.store_key.check_value`): a folder may be moved

    def put_key(self, key: StoreKey) -> None:
        """Keep the key of a store; read back before it counts.

        Raises:
            VaultFailed: it is not kept.
        """
        entry, secret = _key_entry(key.check.hex()), base64.b64encode(key.raw).decode()

        def putting() -> str | None:
            backend = _backend()
            backend.set_password(SERVICE, entry, secret)
            return backend.get_password(SERVICE, entry)

        if self._ask(putting) != secret:
            raise VaultFailed("it forgets what it is given")

    def key(self, check: str) -> StoreKey:
        """Return the key of the store that has this check value.

        Raises:
            VaultFailed: the keyring is off, locked or broken, or holds no such key; the text says what to do.
        """
        if self.off:
            raise VaultFailed(
                f"The key of the store is in the keyring, and {VARIABLE}=off forbids to ask it; unset that."
            )
        try:
            secret = self._ask(lambda: _backend().get_password(SERVICE, _key_entry(check)))
        except VaultFailed as failure:
            raise VaultFailed(
                f"The key of the store cannot be had from the keyring: {failure.message}. Unlock it, and try again."
            ) from None
        try:
            return StoreKey(base64.b64decode(secret or "", validate=True))
        except (ValueError, binascii.Error):
            raise VaultFailed(
                "The keyring holds no key of this store any more, and nothing else opens it. Restore a backup "
                "(`cooee store restore`), or erase the store and log in again: cooee logout --forget --erase"
            ) from None

    def drop_key(self, check: str) -> None:
        """Forget the key of a store; one that is not there is forgotten already.

        Raises:
            VaultFailed: it may still be there.
        """
        if self.off:
            raise VaultFailed(f"{VARIABLE}=off forbids to ask the keyring")

        def dropping() -> None:
            backend = _backend()
            if backend.get_password(SERVICE, _key_entry(check)) is not None:
                backend.delete_password(SERVICE, _key_entry(check))

        self._ask(dropping)

    def _ask(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a thread that may hang without holding up the end of the program."""
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def asking() -> None:
            try:
                answers.put((work(), None))
            except Exception as problem:  # noqa: BLE001  # backends raise what their libraries raise
                answers.put((None, problem))

        threading.Thread(target=asking, daemon=True, name="cooee-keyring").start()
        answer, problem = self._answer(answers)
        if isinstance(problem, NoVault):
            raise problem
        if problem is not None:
            raise VaultFailed(_words(problem)) from None
        return answer  # type: ignore[return-value]  # None only where T has it

    def _answer(
        self, answers: "queue.SimpleQueue[tuple[T | None, Exception | None]]"
    ) -> tuple[T | None, Exception | None]:
        hint_s = min(_HINT_S, self._patience_s)
        try:
            return answers.get(timeout=hint_s)
        except queue.Empty:
            click.echo("Waiting for the keyring; unlock it where it asks for its password.", err=True)
        try:
            return answers.get(timeout=self._patience_s - hint_s)
        except queue.Empty:
            return None, TimeoutError("it does not answer")


def _backend() -> "KeyringBackend":
    """Return the keyring that is used. Raises `NoVault` when there is none to be trusted."""
    import keyring  # noqa: PLC0415  # takes longer to import than most commands take to run

    chosen = keyring.get_keyring()
    for backend in getattr(chosen, "backends", (chosen,)):  # a chain's members are not all to be trusted
        if _trusted(backend):
            found: KeyringBackend = backend
            return found
    raise NoVault("there is no keyring that keeps secrets locked")


def _trusted(backend: "KeyringBackend") -> bool:
    name = f"{type(backend).__module__}.{type(backend).__name__}".lower()
    return backend.priority >= 1 and not any(word in name for word in _UNSAFE)


def _entry(account: Account) -> str:
    return f"{account.user_id}/{account.device_id} {account.url}"


def _key_entry(check: str) -> str:
    return f"store {check}"


def _words(problem: Exception) -> str:
    """Return a reason in one line; never with a secret, which no backend puts into its errors."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text.rstrip(".")[:200]
