"""``kill -9`` of clients in encrypted groups, while devices come and go: nothing lost or doubled, all readable."""

import asyncio
import random
from pathlib import Path

import pytest

from cooee.client import Client, load_account, log_in
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, House, new_user
from tests.integration.test_client_crashes import COUNT, Doomed, until_the_end

KILLS = 4

pytestmark = [pytest.mark.slow, pytest.mark.crash]


@pytest.mark.parametrize("seed", range(2))
async def test_killed_members_of_a_group_lose_nothing_while_devices_come_and_go(
    server: ServerProcess, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    users = [await new_user(server.url, name) for name in ("alice", "bob")]
    async with House(tmp_path / "house", encryption="on") as house:
        carol = await house.enter(server.url, await new_user(server.url, "carol"))
        group = (await carol.client.api.create_group("Falling", users)).conversation_id
        both = []
        for user in users:
            await log_in(server.url, user, PASSWORD, store=tmp_path / user)
            both.append(Doomed(server.url, tmp_path / user, group, "on"))
        for round_ in range(KILLS):
            await asyncio.gather(*(client.start() for client in both))
            await asyncio.gather(*(client.lines(dice.randint(1, 15)) for client in both))
            await comes_or_goes(house, server.url, carol.client, group, round_)
            await asyncio.sleep(dice.random() / 50)
            await asyncio.gather(*(client.kill() for client in both))
        await asyncio.gather(*(client.start() for client in both))
        await asyncio.gather(*(until_the_end(client) for client in both))
        await asyncio.gather(*(client.until_readable() for client in both))
        await asyncio.gather(*(client.kill() for client in both))
        expected = [f"m{number}" for number in range(COUNT)]
        for client in both:
            assert await texts_by_sender(server.url, client.store) == dict.fromkeys(users, expected)
        for user in users:
            for text in expected:
                assert (await carol.reads_from(user, text)).encrypted


async def comes_or_goes(house: House, url: str, carol: Client, group: str, round_: int) -> None:
    """Let somebody join the group with a new device, or leave it again."""
    if round_ % 2 == 0:
        dave = await house.enter(url, await new_user(url, "dave"))
        await dave.client.linked(WAIT_S)
        await carol.api.add_members(group, [dave.client.me.user_id])
    else:
        roster = await carol.api.group(group)
        guests = [member.user_id for member in roster.members if member.user_id.startswith("dave")]
        await carol.api.remove_member(group, guests[0])


async def texts_by_sender(url: str, store: Path) -> dict[str, list[str]]:
    """Return what a store holds of what the two wrote, in the order of the numbers."""
    assert load_account(store) is not None
    async with Client(url, store=store, live=False) as client:
        assert not await client.outbox()
        held = sorted(await client.search("m", limit=10 * COUNT), key=lambda message: message.sequence_number)
    said: dict[str, list[str]] = {}
    for message in held:
        assert message.encrypted
        said.setdefault(message.sender_id, []).append(message.text)
    return said
