"""Password hashes: argon2id, off the event loop, with bounded threads and a bounded queue."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from weakref import WeakValueDictionary

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from cooee.domain.errors import bad_frame, unavailable

MAX_PASSWORD = 1024
"""Characters; more is refused before anything is computed."""


class PasswordSettings(msgspec.Struct, frozen=True):
    """argon2id's parameters (memory in KiB), the threads that compute it, and the shortest password in characters."""

    time_cost: int = 2
    memory_kib: int = 19_456
    parallelism: int = 1
    threads: int = 2
    min_length: int = 8
    max_waiting: int = 128


class Passwords:
    """Hashes and verifies passwords. At most ``threads`` at a time and ``max_waiting`` in line.

    Passwords are compared in Unicode's NFC, so that the same keys on two systems are the same password.
    """

    def __init__(self, settings: PasswordSettings) -> None:
        self._settings = settings
        self._hasher = PasswordHasher(
            settings.time_cost, settings.memory_kib, settings.parallelism, hash_len=32, salt_len=16, type=Type.ID
        )
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="password")
        self._pending = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._nobody = self._hasher.hash("nobody has this password")

    def check(self, password: str, user_id: str = "") -> None:
        """Refuse a new password that is too short, too long or the userId itself.

        Raises:
            CooeeError: ``bad_frame``.
        """
        if len(password) < self._settings.min_length:
            raise bad_frame(f"a password has at least {self._settings.min_length} characters")
        if len(password) > MAX_PASSWORD:
            raise bad_frame(f"a password has at most {MAX_PASSWORD} characters")
        if user_id and password.casefold() == user_id:
            raise bad_frame("the password must not be the userId")

    async def hash(self, password: str) -> str:
        """Return a new hash in PHC form, with the present parameters and a fresh salt.

        Raises:
            CooeeError: ``unavailable`` when too many are waiting.
        """
        return await self._run(password, None)

    async def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether the password belongs to the hash. An empty hash takes as long, and nothing belongs to it.

        Raises:
            CooeeError: ``unavailable`` when too many are waiting.
        """
        if len(password) > MAX_PASSWORD:
            password, password_hash = "", ""
        matched = await self._run(password, password_hash or self._nobody)
        return bool(matched) and bool(password_hash)

    def outdated(self, password_hash: str) -> bool:
        """Tell whether the hash was made with other parameters than the present ones."""
        try:
            return self._hasher.check_needs_rehash(password_hash)
        except InvalidHashError:
            return True

    def close(self) -> None:
        """Stop the threads; what is in line is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def changing(self, user_id: str) -> asyncio.Lock:
        """Return the lock to hold from reading a user's hash to replacing it, so that no newer one is overwritten."""
        lock = self._locks.get(user_id)
        if lock is None:
            lock = self._locks[user_id] = asyncio.Lock()
        return lock

    async def _run(self, password: str, password_hash: str | None) -> str:
        if self._pending >= self._settings.threads + self._settings.max_waiting:
            raise unavailable("too many log-ins at once; try again")
        self._pending += 1
        work: Future[str] = self._threads.submit(self._compute, password, password_hash)
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: _call(loop, self._finished))
        return await asyncio.wrap_future(work)

    def _finished(self) -> None:
        self._pending -= 1

    def _compute(self, password: str, password_hash: str | None) -> str:
        """Runs in a thread: a new hash, or ``yes`` or nothing for a comparison."""
        secret = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
        if password_hash is None:
            return self._hasher.hash(secret)
        try:
            self._hasher.verify(password_hash, secret)
        except (VerificationError, InvalidHashError):
            return ""
        return "yes"


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
