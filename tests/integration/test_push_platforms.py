"""A whole server that is configured for all three platforms: each is reached with the keys that an operator has."""

import asyncio
import ssl
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from cooee.adapters.memory.clock import SystemClock
from cooee.app.backup import Progress
from cooee.app.config import Config, ServerConfig
from cooee.app.tls.authority import certificate_pem
from cooee.app.wiring import backup_offline
from cooee.client import Api
from cooee.protocol import frames
from tests.fakes.apns_platform import KEY_ID, TEAM, TOPIC, ApnsPlatform
from tests.fakes.certificates import authority
from tests.fakes.fcm_platform import FcmPlatform
from tests.fakes.push_platform import Platform
from tests.fakes.web_platform import WebPlatform
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.terminals import a_name

WAIT_S = 30.0


class Platforms(NamedTuple):
    """The three, on this machine."""

    web: WebPlatform
    fcm: FcmPlatform
    apns: ApnsPlatform


@pytest.fixture
async def platforms(tmp_path: Path) -> AsyncIterator[Platforms]:
    """Run the three platforms."""
    clock = SystemClock()
    folders = [tmp_path / name for name in Platforms._fields]
    for folder in folders:
        folder.mkdir()
    made = Platforms(WebPlatform(folders[0], clock), FcmPlatform(folders[1], clock), ApnsPlatform(folders[2], clock))
    async with AsyncExitStack() as stack:
        for platform in made:
            await platform.start()
            stack.push_async_callback(platform.aclose)
        yield made


def settings(platforms: Platforms) -> dict[str, str]:
    return {
        "PUSH_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PUSH_VAPID_CONTACT": "mailto:operator@chat.example",
        "PUSH_FCM_SERVICE_ACCOUNT_FILE": str(platforms.fcm.account_file()),
        "PUSH_FCM_URL": platforms.fcm.server.url,
        "PUSH_APNS_KEY_FILE": str(platforms.apns.key_file()),
        "PUSH_APNS_KEY_ID": KEY_ID,
        "PUSH_APNS_TEAM_ID": TEAM,
        "PUSH_APNS_TOPIC": TOPIC,
        "PUSH_APNS_URL": platforms.apns.server.url,
    }


def trust_the_tests_authority(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs that are started trust the platforms, as an operator would with an authority of his own."""
    file = folder / "authority.pem"
    file.write_bytes(certificate_pem(authority().certificate))
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(file))


async def until_seen(platform: Platform, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while len(platform.seen) < count:
            assert platform.problems == []
            await asyncio.sleep(0.01)  # the platform has no event to wait for


async def test_all_three_are_reached(platforms: Platforms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_tests_authority(tmp_path, monkeypatch)
    alice, bob = a_name("alice"), a_name("bob")
    with ServerProcess(tmp_path / "server", settings(platforms)) as server:
        async with AsyncExitStack() as stack:
            apis = [await stack.enter_async_context(Api(server.url)) for _ in range(4)]
            sender, browser, android, iphone = apis
            await sender.register(alice, "a long password")
            await browser.register(bob, "a long password")
            sender.token = (await sender.log_in(alice, "a long password", device_name="test")).token
            for api in apis[1:]:
                api.token = (await api.log_in(bob, "a long password", device_name="test")).token
            platforms.web.vapid.public_key = await browser.vapid_key()
            target = platforms.web.target()
            await browser.subscribe_web(target["endpoint"], target["p256dh"], target["auth"])
            await android.subscribe_token("fcm", platforms.fcm.target()["token"])
            await iphone.subscribe_token("apns", platforms.apns.target()["token"])
            content = msgspec.Raw(msgspec.json.encode("hello"))
            await sender.send_message(frames.Send("c1", "text", content, to=bob, notification_preview="hello"))
            for platform in platforms:
                await until_seen(platform, 1)
                assert (platform.seen[0].title, platform.seen[0].body) == (alice, "hello")
                assert (platform.seen[0].badge, platform.seen[0].silent) == (1, False)
                assert platform.problems == []
            key = await browser.vapid_key()
        assert server.stop() == 0
        config = Config(server=ServerConfig(data_dir=str(server.data)))
        await asyncio.to_thread(backup_offline, config, tmp_path / "b.tar", Progress(), replace=False)
        with tarfile.open(tmp_path / "b.tar") as backup:
            assert backup.getmember("vapid.pem").mode == 0o600
        assert "hello" not in server.log
        assert target["endpoint"] not in server.log
        await asyncio.to_thread(server.start)
        async with Api(server.url) as again:
            again.token = browser.token
            assert await again.vapid_key() == key


@pytest.mark.parametrize("name", ["PUSH_FCM_SERVICE_ACCOUNT_FILE", "PUSH_APNS_KEY_FILE"])
async def test_a_key_that_is_none_refuses_to_start(platforms: Platforms, tmp_path: Path, name: str) -> None:
    for wrong in (tmp_path / "nowhere", tmp_path / "wrong.pem"):
        server = ServerProcess(tmp_path / "server", settings(platforms) | {name: str(wrong)})
        (tmp_path / "wrong.pem").write_text("no key")
        with pytest.raises(ServerEnded) as ended:
            await asyncio.to_thread(server.start)
        server.kill9()
        assert "key of the push platforms cannot be used" in ended.value.output
        assert wrong.name in ended.value.output
        assert "Traceback" not in ended.value.output
