"""People who sit before `cooee chat`: the real screen without a terminal, over the SDK's real client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from textual.pilot import Pilot

from cooee.cli.tui.app import ChatApp
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.run import prepared
from cooee.client import Client

WAIT_S = 20.0
SIZE, PHONE = (110, 34), (58, 26)


class Seat:
    """One person's screen."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @contextmanager
    def here(self) -> Iterator[None]:
        """Act within this screen: several of them share a process in tests, and Textual knows one current."""
        with self.app._context():
            yield

    @property
    def client(self) -> Client:
        """The SDK's client below the screen."""
        return self.app.session.client

    @property
    def screen(self) -> str:
        """The text on the screen."""
        with self.here():
            strips = self.app.screen._compositor.render_strips(self.app.size)
            return "\n".join(strip.text for strip in strips)

    @property
    def bubbles(self) -> list[Bubble]:
        """The messages that are laid out, in order."""
        return [item for item in self.app.right.messages.blocks.items if isinstance(item, Bubble)]

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [bubble.content for bubble in self.bubbles]

    def bubble(self, text: str) -> Bubble | None:
        """Return the message with a text, if it is laid out."""
        return next((bubble for bubble in self.bubbles if bubble.content == text), None)

    def ticks(self, text: str) -> str:
        """Return how far a message got."""
        bubble = self.bubble(text)
        return bubble.status if bubble is not None else ""

    async def until(self, check: Callable[[], object], what: str) -> None:
        """Wait until ``check`` holds."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not check():
                    await self.pause()
        except TimeoutError:
            raise AssertionError(f"{self.client.me.user_id} waited for {what}:\n{self.screen}") from None

    async def sees(self, text: str) -> None:
        """Wait until a text is on the screen."""
        await self.until(lambda: text in self.screen, repr(text))

    async def sees_no(self, text: str) -> None:
        """Wait until a text is no longer on the screen."""
        await self.until(lambda: text not in self.screen, f"the end of {text!r}")

    async def pause(self, seconds: float = 0.02) -> None:
        """Let the screen do what it has to do."""
        with self.here():
            await self._pilot.pause(seconds)

    async def press(self, *keys: str) -> None:
        """Press keys."""
        with self.here():
            await self._pilot.press(*keys)

    async def click(self, x: int, y: int) -> None:
        """Click on a place of the screen."""
        with self.here():
            await self._pilot.click(offset=(x, y))

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        with self.here():
            await self._pilot.resize_terminal(width, height)

    async def opens(self, chat: str) -> None:
        """Jump to a chat by the keyboard."""
        await self.press("ctrl+k")
        await self.sees("Jump to a chat")
        await self.types(chat)
        await self.press("enter")
        await self.until(lambda: self.app.right.composer.has_focus and self.app.session.chat, "the chat")

    async def types(self, text: str) -> None:
        """Write."""
        await self.press(*(_key(character) for character in text))

    async def says(self, text: str) -> None:
        """Write a message and send it."""
        await self.types(text)
        await self.press("enter")
        await self.until(lambda: self.bubble(text) is not None, f"the own {text!r}")

    async def online(self) -> None:
        """Wait for the connection."""
        await self.until(lambda: self.app.book.connection.state == "online", "the connection")


@asynccontextmanager
async def seat(
    url: str, store: Path, user: str, password: str, *, size: tuple[int, int] = SIZE, theme: str | None = None
) -> AsyncIterator[Seat]:
    """Open the client of a user and its screen."""
    async with Client(url, store=store, user=user, password=password) as client, seat_of(client, size, theme) as one:
        yield one


@asynccontextmanager
async def seat_of(
    client: Client, size: tuple[int, int] = SIZE, theme: str | None = None, chat: str | None = None
) -> AsyncIterator[Seat]:
    """Open the screen of a client that is open."""
    app = ChatApp(*await prepared(client, chat, theme))
    opened: asyncio.Future[Pilot[None]] = asyncio.get_running_loop().create_future()
    closing = asyncio.Event()

    async def keep() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            opened.set_result(pilot)
            await closing.wait()

    keeping = asyncio.create_task(keep())  # in a context of its own
    await asyncio.wait((opened, keeping), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield Seat(app, opened.result())
    finally:
        closing.set()
        await keeping


def _key(character: str) -> str:
    """Return the name under which the pilot knows a key."""
    return {" ": "space", "\n": "ctrl+j"}.get(character, character)
