"""A client program to be killed: ``crashing_client.py URL STORE PEER COUNT`` sends ``m0`` … and hears what comes.

It prints ``ready``, then ``put N`` whenever message N is in the outbox for good, and ``end`` when all COUNT messages
have their number. Started again, it goes on behind the last message that its store knows. It runs until it is killed.
"""

import asyncio
import sys

from cooee.client import Client, Message


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def listen(client: Client) -> None:
    async for event in client.events():
        if isinstance(event, Message) and event.sender_id != client.me.user_id:
            say(f"got {event.text}")


async def main(url: str, store: str, peer: str, count: int) -> None:
    async with Client(url, store=store) as client:
        listening = asyncio.create_task(listen(client))
        say("ready")
        mine = {entry.text for entry in await client.outbox()}
        mine |= {found.text for found in await client.search("m", limit=10 * count) if found.sender_id != peer}
        for number in range(count):
            if f"m{number}" not in mine:
                await client.send_text(peer, f"m{number}")
                say(f"put {number}")
        for entry in await client.outbox():
            await client.wait_for_sent(entry.client_message_id)
        say("end")
        await listening


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
