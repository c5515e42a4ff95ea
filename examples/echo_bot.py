"""An echo bot: says again what people say to it.

COOEE_TOKEN=… python examples/echo_bot.py [SERVER [FOLDER]]
"""

import asyncio
import os
import sys
from contextlib import suppress

from cooee.client import Client, inbox


async def main(server: str = "http://127.0.0.1:8080", folder: str = "echo-bot") -> None:
    """Answer every message; one that came while the bot was away is answered when it is back."""
    async with Client(server, store=folder, token=os.environ["COOEE_TOKEN"], encryption="off") as bot:
        async for message in inbox(bot):
            sender = await bot.api.user(message.sender_id)
            if message.text and not sender.bot:  # two echo bots would never end
                await bot.send_text(message.conversation_id, message.text, reply_to=message.message_id)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
