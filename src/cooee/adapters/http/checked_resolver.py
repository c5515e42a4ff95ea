"""Names of hosts that users chose: looked up by us, and every address looked at before anybody connects to it."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from cooee.domain.addresses import AddressRules

Lookup = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host name. Blocks, in a thread of its own; may raise OSError."""


def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host name. Blocks."""
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class AddressRefused(OSError):
    """A host name without an address that may be used."""


class CheckedResolver(AbstractResolver):
    """Returns addresses only when all of the name's are allowed: one that is not makes the whole name suspect.

    Names are looked up on threads that nothing else uses: whose name servers do not answer holds up no one else.
    """

    def __init__(self, rules: AddressRules, lookup: Lookup, threads: int, name: str) -> None:
        self._rules = rules
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(threads, name)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve and look at every address; raises OSError."""
        try:
            addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
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

    async def close(self) -> None:
        """Look up nothing more. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
