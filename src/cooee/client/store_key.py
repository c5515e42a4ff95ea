"""The file ``store.key`` beside a store: where the key of the store is, or how it is had.

By `protection` it is one of three: ``file``, the key itself (it protects a copy of ``store.db`` alone, and nothing from
who reads the whole folder); ``passphrase``, the key under Argon2id; ``elsewhere``, nothing but a check value, the key
being with who opens the store, such as a keyring. Changing between them writes this file anew and leaves the database
as it is. The file is readable for its owner alone, and replaced at once or not at all. `key_wrap` is its content.

Who reads and writes it has the store's lock. What the file held before a change may still stand on the disk somewhere,
so a key that was once in the clear is safe only from who comes later.
"""

import os
from contextlib import suppress
from pathlib import Path

from cooee.client import key_wrap
from cooee.client.database import is_encrypted, sync_folder
from cooee.client.errors import (
    StoreKeyElsewhere,
    StoreKeyLost,
    StoreLockedByPassphrase,
    StoreUnusable,
    WrongPassphrase,
    WrongProtection,
    WrongStoreKey,
)
from cooee.client.key_wrap import DoesNotFit, NotAKey, NotEnoughMemory, Protection, StoreKey, Wrapped

KEY_NAME = "store.key"
_LARGEST = 4096
_MEMORY = "there is not enough memory to try a passphrase, which takes 64 MiB; close something and try again"


def protection(folder: Path) -> Protection | None:
    """Tell how the key of the store in ``folder`` is kept; None while it has none. Opens nothing, takes no lock.

    Raises:
        StoreKeyLost: the file cannot be understood.
        StoreUnusable: it cannot be read.
    """
    wrapped = _read(folder)
    return None if wrapped is None else wrapped.protection


def check_value(folder: Path) -> str | None:
    """Return in hexadecimal the value by which a keeper elsewhere knows the key of the store; None while it has none.

    It says nothing about the key. Raises as `protection`.
    """
    wrapped = _read(folder)
    return None if wrapped is None else wrapped.check.hex()


def open_key(folder: Path, *, passphrase: str | None = None, store_key: bytes | None = None) -> StoreKey:
    """Return the key of the store in ``folder``, and make one where there is no encrypted store yet.

    A new key is kept under ``passphrase``, or is ``store_key`` and kept by the caller, or else stands in the file.
    With a passphrase that takes a second, on purpose.

    Raises:
        StoreLockedByPassphrase, WrongPassphrase, StoreKeyElsewhere, WrongStoreKey: as they say.
        WrongProtection: a passphrase or a key was given to a store that is kept in another way; see `protect`.
        StoreKeyLost: the file is damaged, or missing beside an encrypted store.
        StoreUnusable: the file cannot be read or written, or there is not the memory that a passphrase takes.
        NotAKey: ``store_key`` has not 32 bytes.
    """
    given = None if store_key is None else StoreKey(store_key)
    if given is not None and passphrase is not None:
        raise WrongProtection("a store is opened by a passphrase or by a key; give one of the two")
    wrapped = _read(folder)
    if wrapped is not None:
        return _open(folder, wrapped, passphrase, given)
    if is_encrypted(folder):
        if given is None:
            raise StoreKeyLost(
                f"{folder / KEY_NAME} is missing, and nothing reads the store without it; put it back from a copy of"
                " the folder, or move the store away and log in again"
            )
        return given
    key = given or StoreKey.generate()
    _write(folder, _wrap(key, passphrase, elsewhere=given is not None))
    return key


def protect(folder: Path, key: StoreKey, *, passphrase: str | None = None, elsewhere: bool = False) -> None:
    """Keep ``key``, that of the store in ``folder``, in another way from now on; the database is not touched.

    Under ``passphrase``, or ``elsewhere`` (the caller has put it there already), or else in the file.

    Raises:
        WrongStoreKey: it is not the store's key.
        WrongProtection: both were asked for.
        StoreKeyLost, StoreUnusable: the file is damaged, or cannot be written; it is as it was.
    """
    if passphrase is not None and elsewhere:
        raise WrongProtection("a store's key is kept under a passphrase or elsewhere, not both")
    wrapped = _read(folder)
    if wrapped is not None and not key_wrap.fits(wrapped, key):
        raise WrongStoreKey(f"this is not the key of the store {folder}")
    _write(folder, _wrap(key, passphrase, elsewhere=elsewhere))


def _wrap(key: StoreKey, passphrase: str | None, *, elsewhere: bool) -> Wrapped:
    if elsewhere:
        return key_wrap.kept_elsewhere(key)
    if passphrase is not None:
        if not passphrase:
            raise WrongProtection("an empty passphrase protects nothing; choose one, or none")
        try:
            return key_wrap.under_passphrase(key, passphrase)
        except NotEnoughMemory:
            raise StoreUnusable(_MEMORY) from None
    return key_wrap.in_the_clear(key)


def _open(folder: Path, wrapped: Wrapped, passphrase: str | None, given: StoreKey | None) -> StoreKey:
    if given is not None:
        if not key_wrap.fits(wrapped, given):
            raise WrongStoreKey(
                f"the key that was given is not that of the store {folder}; give the one it was made with"
            )
        return given
    try:
        if wrapped.protection == "elsewhere":
            raise StoreKeyElsewhere(
                f"the key of the store {folder} is kept elsewhere, as in the system's keyring; unlock that,"
                " or give the key"
            )
        if wrapped.protection == "passphrase":
            if passphrase is None:
                raise StoreLockedByPassphrase(f"the store {folder} is protected by a passphrase; give it")
            return key_wrap.unwrap_by(wrapped, passphrase)
        if passphrase is not None:
            raise WrongProtection(
                f"the store {folder} is not protected by a passphrase; protect it by one first, or give none"
            )
        return key_wrap.unwrap(wrapped)
    except DoesNotFit:
        raise WrongPassphrase(f"this is not the passphrase of the store {folder}; try again") from None
    except NotEnoughMemory:
        raise StoreUnusable(_MEMORY) from None
    except NotAKey as problem:
        raise _damaged(folder, problem) from None


def _damaged(folder: Path, problem: NotAKey) -> StoreKeyLost:
    return StoreKeyLost(
        f"{folder / KEY_NAME} is damaged ({problem}); put it back from a copy of the folder, or move the store away and"
        " log in again"
    )


def _read(folder: Path) -> Wrapped | None:
    path = folder / KEY_NAME
    try:
        with path.open("rb") as file:
            return key_wrap.decode(file.read(_LARGEST))
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise StoreUnusable(f"{path} cannot be read: {problem}") from None
    except NotAKey as problem:
        raise _damaged(folder, problem) from None


def _write(folder: Path, wrapped: Wrapped) -> None:
    """Replace the file at once, durably: a database is never encrypted by a key that could be lost."""
    path = folder / KEY_NAME
    draft = path.with_name(f"{KEY_NAME}.new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key_wrap.encode(wrapped))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(folder)
    except OSError as problem:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreUnusable(f"{path} cannot be written: {problem}") from None
