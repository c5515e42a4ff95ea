"""People talk end-to-end encrypted through the SDK, over a real server, which sees nothing of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cooee.protocol.frames import MessageFrame
from tests.integration.harness import ServerProcess
from tests.integration.people import WAIT_S, House, new_user


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path) as opened:
        yield opened


async def test_a_text_is_encrypted_end_to_end(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice = await house.enter(server.url, alice_id, encryption="on")
    bob = await house.enter(server.url, bob_id, encryption="on")
    await alice.client.linked(WAIT_S)
    await bob.client.linked(WAIT_S)
    sent = await alice.client.send_text(bob_id, "for your eyes only")
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    got = await bob.reads("for your eyes only")
    assert (got.encrypted, got.sender_id, got.problem) == (True, alice_id, "")
    page = await alice.client.api.history(sent.conversation_id)
    [raw] = page.messages
    frame = msgspec.json.decode(raw, type=MessageFrame)
    assert frame.content_type == "encrypted"
    assert b"eyes" not in bytes(raw)
    answer = await bob.client.send_text(alice_id, "mine are open")
    assert (await alice.reads("mine are open")).encrypted
    await bob.client.wait_for_delivered(answer.client_message_id, WAIT_S)
    [one, two] = (await alice.client.history(sent.conversation_id)).messages
    assert [one.text, two.text] == ["for your eyes only", "mine are open"]
