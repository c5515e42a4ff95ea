"""A reminder bot: "remind me in 10 minutes to take the bread out".

COOEE_TOKEN=… python examples/reminder_bot.py [SERVER [FOLDER]]; a restart forgets nothing: FOLDER/reminders.db
"""

import asyncio
import os
import re
import sqlite3
import sys
import time
from contextlib import suppress

from cooee.client import Client, inbox

ASKED = re.compile(r"remind me in (\d{1,6}) (second|minute|hour|day)s? to (.+)", re.IGNORECASE)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


async def take_orders(bot: Client, db: sqlite3.Connection) -> None:
    """Keep what people ask for; the same message twice is one reminder."""
    async for message in inbox(bot):
        if asked := ASKED.fullmatch(message.text.strip()):
            due = time.time() + int(asked[1]) * SECONDS[asked[2].lower()]
            reminder = (message.message_id, message.conversation_id, due, asked[3])
            db.execute("INSERT OR IGNORE INTO reminder VALUES (?, ?, ?, ?)", reminder)
            await bot.send_text(message.conversation_id, "I will.", reply_to=message.message_id)


async def remind(bot: Client, db: sqlite3.Connection) -> None:
    """Say what is due, and forget it once it is in the outbox."""
    due = "SELECT message_id, conversation_id, text FROM reminder WHERE due <= ? ORDER BY due"
    while True:
        for message_id, conversation_id, text in db.execute(due, (time.time(),)).fetchall():
            await bot.send_text(conversation_id, f"You wanted to {text}", reply_to=message_id)
            db.execute("DELETE FROM reminder WHERE message_id = ?", (message_id,))
        await asyncio.sleep(0.5)  # how late a reminder may be


async def main(server: str = "http://127.0.0.1:8080", folder: str = "reminder-bot") -> None:
    """Take orders and remind, until Ctrl-C."""
    async with Client(server, store=folder, token=os.environ["COOEE_TOKEN"], encryption="off") as bot:
        db = sqlite3.connect(f"{folder}/reminders.db", isolation_level=None)  # each change is durable at once
        db.execute("CREATE TABLE IF NOT EXISTS reminder (message_id PRIMARY KEY, conversation_id, due, text)")
        await asyncio.gather(take_orders(bot, db), remind(bot, db))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
