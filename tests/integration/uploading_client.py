"""A client program to be killed: ``uploading_client.py URL STORE PEER FILE [on]`` sends a file, or goes on.

It prints ``at N`` as bytes go out, and ``sent`` when the message has its number. It runs until it is killed.
"""

import asyncio
import sys
from pathlib import Path
from typing import Literal

from cooee.client import Client


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(url: str, store: str, peer: str, path: str, encryption: Literal["on", "off"] = "off") -> None:
    async with Client(url, store=store, encryption=encryption) as client:
        if path:
            kept = await client.send_file(peer, Path(path), progress=lambda done, _: say(f"at {done}"))
            await client.wait_for_sent(kept.client_message_id)
        say("sent")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))  # type: ignore[arg-type]
