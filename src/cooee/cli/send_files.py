"""Files on their way from the command line: a bar while they are uploaded, and an end when there is no connection."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cooee.cli.invocation import Invocation
from cooee.cli.progress import Bar
from cooee.cli.render import safe
from cooee.cli.ticks import Wait, is_broken, not_sent_yet
from cooee.client import Api, Client, ConnectionFailed, Pending, Progress
from cooee.client.carrier import Carrier
from cooee.client.files import FileEntry
from cooee.client.ledger import EventStream
from cooee.client.uploading import FileWish, prepared
from cooee.protocol import frames

_THEN = "goes on with the next `cooee listen` or `cooee chat`"


@contextmanager
def file_bar(invocation: Invocation, doing: str, name: str) -> Iterator[Progress]:
    """Show a bar of a file that is on its way, in the place of the bar that says that something is waited for."""
    text = f"{doing} {safe(name)[:40]}"
    invocation.settle()
    with Bar(text, quiet=invocation.as_json, unit="bytes") as bar:
        yield lambda done, total: bar.show(text, done, total)


class Upload:
    """One file that a client sends, with a bar; ended when there is no connection to begin with, or no time left."""

    def __init__(self, invocation: Invocation, client: Client, wait: Wait) -> None:
        self._invocation = invocation
        self._client = client
        self._wait = wait
        self._kept = asyncio.Event()
        self._begun = False

    async def send(self, conversation_id: str, file: Path, **fields: Any) -> Pending:
        """Upload ``file`` and put its message into the outbox. ``fields``: as of `Client.send_file`.

        Raises:
            CliError: not now; the message is kept, and sent later.
            SendFailed: it can never be sent.
        """
        with file_bar(self._invocation, "Sending", file.name) as shown:

            def progress(done: int, total: int) -> None:
                self._kept.set()
                self._begun = done > 0
                shown(done, total)

            sending = asyncio.create_task(
                self._client.send_file(conversation_id, file, progress=progress, **fields), name="cooee-send-file"
            )
            watching = asyncio.create_task(self._no_connection(self._client.events()), name="cooee-send-watch")
            try:
                return await self._first(sending, watching)
            finally:
                for task in (sending, watching):
                    task.cancel()
                await asyncio.gather(sending, watching, return_exceptions=True)

    async def _first(self, sending: asyncio.Task[Pending], watching: asyncio.Task[str]) -> Pending:
        keeping = asyncio.create_task(self._kept.wait(), name="cooee-send-kept")
        await asyncio.wait((keeping, sending), return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        try:
            async with asyncio.timeout(None if self._wait.gives_up_at_once else self._wait.seconds):
                await asyncio.wait((watching, sending), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    raise not_sent_yet(watching.result(), _THEN)
                return sending.result()
        except TimeoutError:
            raise not_sent_yet("it takes longer than it may", _THEN) from None
        except ConnectionFailed as problem:
            raise not_sent_yet(str(problem), _THEN) from None

    async def _no_connection(self, events: EventStream) -> str:
        """Return why no connection comes about, if nothing was sent until then."""
        async for event in events:
            if is_broken(event) and self._wait.gives_up_at_once and not self._begun:
                return event.reason
        return "the connection ended"


async def with_file(invocation: Invocation, api: Api, message: frames.Send, file: Path, wish: FileWish) -> frames.Send:
    """Upload a file beside a client that has the store, and return ``message`` with it; nothing of it is kept here.

    Raises:
        SendFailed, ConnectionFailed: it could not be uploaded.
    """
    largest = frames.WireLimits().max_content_bytes
    path = await asyncio.to_thread(file.absolute)
    entry = await prepared(message.client_message_id, message.conversation_id or "", path, wish, largest)

    async def save(_: FileEntry) -> None:
        """Keep nothing: it is begun anew when it breaks off for good."""

    with file_bar(invocation, "Sending", file.name) as progress:
        entry = await Carrier(api, entry, save, progress).carry()
    content = msgspec.Raw(msgspec.json.encode(entry.content | {"mediaKey": entry.media_key}))
    return msgspec.structs.replace(message, content_type=entry.content_type, content=content)
