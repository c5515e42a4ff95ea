"""Files through the SDK to and from a bucket that speaks S3, over a network that breaks off."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cooee.adapters.memory.clock import SystemClock
from cooee.client import Message
from tests.conftest import Need
from tests.contract.blob_stores import s3_place
from tests.contract.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed, seaweed, weed
from tests.fakes.proxy import Proxy
from tests.integration.conftest import NewServer
from tests.integration.people import WAIT_S, House, new_user

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, need: Need) -> Iterator[Seaweed]:
    """Run one SeaweedFS for the module."""
    need(weed() is not None, "SeaweedFS", "scripts/setup services")
    with seaweed(tmp_path_factory.mktemp("seaweed")) as started:
        yield started


async def test_files_go_to_a_bucket_and_come_from_there_over_a_bad_network(
    bucket: Seaweed, new_server: NewServer, tmp_path: Path
) -> None:
    async with s3_place(bucket.endpoint, SystemClock()):
        pass  # it makes the bucket
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET_KEY}\n")  # one line
    async with Proxy(bucket.endpoint, seed=5) as proxy, House(tmp_path) as house:
        server = new_server(
            MEDIA_STORE="s3",
            MEDIA_PART_BYTES=str(5 * MIB),
            S3_ENDPOINT=proxy.url,
            S3_BUCKET=BUCKET,
            S3_ACCESS_KEY=ACCESS_KEY,
            S3_SECRET_KEY_FILE=str(secret),
        )

        def calm(_done: int, _all: int) -> None:
            if proxy.cuts >= 2:
                proxy.cut_after = 0  # the server reads the whole file once, and begins anew when that breaks off

        users = [await new_user(server.url, name) for name in ("alice", "bob")]
        alice, bob = [await house.enter(server.url, user) for user in users]
        for number, size in enumerate((300_000, 17 * MIB)):
            content = random.Random(size).randbytes(size)
            path = tmp_path / f"{number}.bin"
            path.write_bytes(content)
            proxy.cut_after = 6 * MIB
            proxy.cut()
            kept = await alice.client.send_file(users[1], path, progress=calm)
            proxy.cut_after = 0
            proxy.cut()
            await alice.client.wait_for_sent(kept.client_message_id, WAIT_S)
            key = kept.client_message_id
            message = await bob.hears(Message, lambda told, key=key: told.client_message_id == key)  # type: ignore[misc]
            proxy.cut_after = 12 * MIB
            proxy.cut()
            await bob.client.download(message, tmp_path / f"{number}.came")
            proxy.cut_after = 0
            assert (tmp_path / f"{number}.came").read_bytes() == content
        assert proxy.cuts
