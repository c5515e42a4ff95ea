"""A client program to be killed: ``crashing_client.py URL STORE PEER COUNT on|off`` sends ``m0`` … and hears.

It prints ``ready``, then ``put N`` whenever message N is in the outbox for good, ``end`` when all COUNT messages have
their number, and ``all`` when those of the other side are here, too, and can be read. Started again, it goes on behind
the last message that its store knows. It runs until it is killed.
"""

import asyncio
import sys
from typing import Literal

from cooee.client import Client, Message, MessageUpdated


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def listen(client: Client) -> None:
    async for event in client.events():
        message = event.message if isinstance(event, MessageUpdated) else event
        if isinstance(message, Message) and message.sender_id != client.me.user_id:
            say(f"got {message.text}")


async def main(url: str, store: str, peer: str, count: int, encryption: Literal["on", "off"]) -> None:
    async with Client(url, store=store, encryption=encryption) as client:
        listening = asyncio.create_task(listen(client))
        say("ready")
        mine = {entry.text for entry in await client.outbox()}
        mine |= {
            found.text for found in await client.search("m", limit=10 * count) if found.sender_id == client.me.user_id
        }
        for number in range(count):
            if f"m{number}" not in mine:
                await client.send_text(peer, f"m{number}")
                say(f"put {number}")
        for entry in await client.outbox():
            await client.wait_for_sent(entry.client_message_id)
        say("end")
        while len(await client.search("m", limit=10 * count)) < 2 * count:  # noqa: ASYNC110  # until all can be read
            await asyncio.sleep(0.05)
        say("all")
        await listening


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), "on" if sys.argv[5] == "on" else "off"))
