"""The operations of encryption: each method makes the request that the server's route takes, and reads its answer."""

from typing import Any

import msgspec
import pytest

from cooee.client.keys_api import KeysApi
from cooee.domain.ids import DeviceRef
from cooee.gateway.http.table import ROUTES
from cooee.protocol import keys
from tests.fakes.device_keys import AccountKey, publication

BOB = DeviceRef("bob", "d1")
SIGNED = msgspec.convert(AccountKey("ann").list("ann", 2, "d1"), keys.SignedList)


class Recorded(KeysApi):
    """Keeps requests, and answers what a test says."""

    def __init__(self, answer: msgspec.Struct) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Any]] = []

    async def _call(
        self,
        method: str,
        path: str,
        answer_type: Any,
        body: msgspec.Struct | None = None,
        _params: dict[str, str] | None = None,
    ) -> Any:
        self.asked.append((method, path, body))
        return msgspec.json.decode(msgspec.json.encode(self.answer), type=answer_type)

    async def _do(self, method: str, path: str, body: msgspec.Struct | None = None) -> None:
        raise NotImplementedError

    async def _all(self, path: str, item_type: Any, query: dict[str, str] | None = None) -> Any:
        raise NotImplementedError


async def asked(call: Any, api: Recorded) -> tuple[str, str, Any]:
    """Make a call, and return its one request, whose body the route takes."""
    await call
    ((method, path, body),) = api.asked
    shape = path.replace("/ann/", "/{userId}/").replace("/dm%3Aann%3Abob/", "/{conversationId}/")
    (route,) = [route for route in ROUTES if (route.method, route.path) == (method, shape)]
    if body is not None:
        assert msgspec.json.decode(msgspec.json.encode(body), type=route.request) == body
    assert route.response is type(api.answer)
    return method, path, body


async def test_publishing_and_status() -> None:
    api = Recorded(keys.KeyStock(3, 2))
    body = msgspec.convert(publication("d1"), keys.PublishKeys)
    assert (await asked(api.publish_keys(body), api))[2] == body
    api = Recorded(keys.KeyStatus())
    assert await asked(api.key_status(), api) == ("GET", "/v1/keys/status", None)


async def test_claiming() -> None:
    api = Recorded(keys.Claimed((), (keys.DeviceName("bob", "d1"),)))
    _, _, body = await asked(api.claim_keys([BOB]), api)
    assert body == keys.ClaimKeys((keys.DeviceName("bob", "d1"),))


@pytest.mark.parametrize("reset", [False, True])
async def test_putting_a_list(reset: bool) -> None:
    api = Recorded(keys.ListVersion(2))
    _, path, body = await asked(api.put_device_list("ann", SIGNED, reset=reset, password="x" * reset), api)
    assert path == "/v1/users/ann/device-list"
    assert (body.payload, body.signature, body.reset) == (SIGNED.payload, SIGNED.signature, reset)
    assert await api.put_device_list("ann", SIGNED) == 2


async def test_looking_lists_up() -> None:
    api = Recorded(SIGNED)
    await asked(api.device_list("ann"), api)
    assert await api.device_list("ann") == SIGNED
    told = keys.UserDevices("bob", None, bot=True, current=())
    api = Recorded(keys.DeviceLists((told,)))
    _, _, body = await asked(api.device_lists([("bob", 3), ("carol", 0)]), api)
    assert body == keys.AskLists((keys.AskedList("bob", 3), keys.AskedList("carol")))
    assert tuple(await api.device_lists([("bob", 3)])) == (told,)


async def test_saying_how_a_conversation_is_written() -> None:
    api = Recorded(keys.Encryption("plain", 7))
    _, _, body = await asked(api.set_encryption("dm:ann:bob", "plain"), api)
    assert body == keys.SetEncryption("plain")
