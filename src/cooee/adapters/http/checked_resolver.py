"""Names of hosts that users chose: looked up by us, and every address looked at before anybody connects to it."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from cooee.domain.addresses import AddressRules

PATIENCE_S = 1.0
"""How long a lookup may take before what is remembered will do."""
_MAX_REMEMBERED = 1000

Lookup = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host name. Blocks, in a thread of its own; may raise OSError."""


def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host name. Blocks."""
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class AddressRefused(OSError):
    """A host name without an address that may be used."""


class CheckedResolver(AbstractResolver):
    """Returns addresses only when all of the name's are allowed: one that is not makes the whole name suspect.

    Names are looked up on threads that nothing else uses: whose name servers do not answer holds up no one else. With
    ``remembered_s`` names that were looked up within that time are found though all threads wait for such servers.
    """

    def __init__(
        self, rules: AddressRules, lookup: Lookup, threads: int, name: str, *, remembered_s: float = 0.0
    ) -> None:
        self._rules = rules
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(threads, name)
        self._remembered_s = remembered_s
        self._remembered: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()
        self._looking: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve and look at every address; raises OSError."""
        try:
            addresses = await self._addresses(host, port)
        except (OSError, RuntimeError):  # the threads are closed
            raise AddressRefused from None
        if not addresses or not all(map(self._rules.allows, addresses)):
            raise AddressRefused
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(addresses)
        ]

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Look the name up; what is remembered of it will do when that takes long."""
        loop = asyncio.get_running_loop()
        until, known = self._remembered.get(host, (0.0, ()))
        if until <= loop.time():
            addresses = await loop.run_in_executor(self._threads, self._lookup, host, port)
            self._remember(host, addresses)
            return addresses
        looking = self._looking.get(host)
        if looking is None:
            looking = self._looking[host] = loop.run_in_executor(self._threads, self._lookup, host, port)
            looking.add_done_callback(partial(self._looked, host))
        await asyncio.wait((looking,), timeout=PATIENCE_S)
        return looking.result() if looking.done() else known

    def _looked(self, host: str, looking: asyncio.Future[Sequence[str]]) -> None:
        del self._looking[host]
        if not looking.cancelled() and looking.exception() is None:
            self._remember(host, looking.result())

    def _remember(self, host: str, addresses: Sequence[str]) -> None:
        if not self._remembered_s or not addresses or not all(map(self._rules.allows, addresses)):
            return
        self._remembered[host] = (asyncio.get_running_loop().time() + self._remembered_s, addresses)
        self._remembered.move_to_end(host)
        if len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    async def close(self) -> None:
        """Look up nothing more. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
