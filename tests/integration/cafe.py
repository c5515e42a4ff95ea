"""Where people sit before their screens, and what they say beside them."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from cooee.client import Client
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, new_user
from tests.integration.seats import SIZE, WAIT_S, Seat, seat


class Cafe(AsyncExitStack):
    """Where people sit: one folder for their stores, all closed in the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def sits(self, url: str, user: str, device: str = "", size: tuple[int, int] = SIZE) -> Seat:
        """Open somebody's screen and wait until it is online."""
        one = await self.enter_async_context(self.at(url, user, device, size))
        await one.online()
        return one

    def at(
        self, url: str, user: str, device: str = "", size: tuple[int, int] = SIZE
    ) -> AbstractAsyncContextManager[Seat]:
        """Return somebody's screen, to be opened."""
        return seat(url, self.folder / f"{user}{device}", user, PASSWORD, size=size)

    async def without_screen(self, url: str, user: str) -> Client:
        """Open somebody's client alone."""
        client = Client(url, store=self.folder / f"{user}-sdk", user=user, password=PASSWORD)
        await self.enter_async_context(client)
        await client.online(WAIT_S)
        return client


async def pair(server: ServerProcess) -> tuple[str, str]:
    """Register Alice and Bob, each a contact of the other."""
    return await new_user(server.url, "alice"), await new_user(server.url, "bob")


async def exchange(client: Client, to: str, *texts: str) -> None:
    """Send texts, each after the other has its number."""
    for text in texts:
        entry = await client.send_text(to, text)
        await client.wait_for_sent(entry.client_message_id, WAIT_S)
