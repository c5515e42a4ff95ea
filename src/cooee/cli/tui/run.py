"""Opening the SDK's client and the screen, and closing both."""

from cooee.cli.at_hand import serving
from cooee.cli.targets import find_conversation
from cooee.cli.tui.app import ChatApp
from cooee.cli.tui.book import Book
from cooee.cli.tui.memory import Remembered, recall
from cooee.cli.tui.session import Session
from cooee.client import Client


async def run(client: Client, conversation: str | None, theme: str | None) -> bool:
    """Open ``client`` and chat until the user quits; False: the screen ended by a defect.

    Raises:
        CooeeClientError: the store cannot be used, or nobody is logged in.
        CliError: there is no conversation of that name here.
    """
    async with client, serving(client):
        app = ChatApp(*await prepared(client, conversation, theme))
        await app.run_async()
        return app.return_code in (0, None)


async def prepared(
    client: Client, conversation: str | None = None, theme: str | None = None
) -> tuple[Session, Remembered, str]:
    """Return what a `ChatApp` shows of an open client: the session, what was remembered, and the chat to open."""
    remembered = recall(client.folder)
    if theme is not None:
        remembered = Remembered(f"cooee-{theme}", remembered.drafts)
    session = Session(client, Book(client.me.user_id, remembered.drafts))
    if conversation is None:
        return session, remembered, ""

    async def titles() -> dict[str, str]:
        return {view.conversation_id: view.title for view in await client.conversations() if view.kind == "group"}

    return session, remembered, await find_conversation(conversation, client.me.user_id, titles)
