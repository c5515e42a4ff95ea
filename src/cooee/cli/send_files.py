"""Files on their way from the command line: a bar while they are uploaded."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from cooee.cli.invocation import Invocation
from cooee.cli.progress import Bar
from cooee.cli.render import safe
from cooee.client import Api, Progress
from cooee.client.carrier import Carrier
from cooee.client.files import FileEntry
from cooee.client.uploading import FileWish, prepared
from cooee.protocol import frames


@contextmanager
def file_bar(invocation: Invocation, doing: str, name: str) -> Iterator[Progress]:
    """Show a bar of a file that is on its way, in the place of the bar that says that something is waited for."""
    text = f"{doing} {safe(name)[:40]}"
    invocation.settle()
    with Bar(text, quiet=invocation.as_json, unit="bytes") as bar:
        yield lambda done, total: bar.show(text, done, total)


class FileBars:
    """Bars of files that are on their way, one after another, in the place of that which says that one waits."""

    def __init__(self, invocation: Invocation, doing: str) -> None:
        self._invocation = invocation
        self._doing = doing
        self._name = ""
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def show(self, name: str, done: int, total: int) -> None:
        """Show how far the file ``name`` is, in bytes."""
        text = f"{self._doing} {safe(name)[:40]}"
        if self._bar is None or name != self._name:
            self.end()
            self._invocation.settle()
            self._name = name
            self._bar = Bar(text, quiet=self._invocation.as_json, unit="bytes")
            self._bar.__enter__()
        self._bar.show(text, done, total)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.end()
            self._bar = None


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
