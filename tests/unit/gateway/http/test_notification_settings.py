"""A user's own settings of notifications, by ``PATCH /v1/me`` (PROTOCOL.md §19)."""

import pytest

from tests.fakes.house import House


async def patched(house: House, *patches: object) -> object:
    """Return the settings after the patches, each of which must be taken."""
    alice = await house.person("alice")
    for patch in patches:
        reply = await alice.request("PATCH", "/v1/me", {"notifications": patch})
        assert reply.status == 200, reply.body
    return (await alice.request("GET", "/v1/me")).json["notifications"]


async def test_what_is_left_out_stays(house: House) -> None:
    hours = {"start": "22:30", "end": "07:05", "offsetMin": -90}
    assert await patched(house, {"preview": False}, {"quietHours": hours}, {"mentions": False}) == {
        "preview": False,
        "mentions": False,
        "quietHours": hours,
    }


async def test_quiet_hours_end_with_null(house: House) -> None:
    hours = {"start": "00:00", "end": "23:59"}
    assert await patched(house, {"quietHours": hours}, {"quietHours": None}) == {
        "preview": True,
        "mentions": True,
        "quietHours": None,
    }


async def test_they_change_together_with_privacy_and_neither_undoes_the_other(house: House) -> None:
    alice = await house.person("alice")
    both = {"notifications": {"preview": False}, "privacy": {"searchable": False}}
    await alice.request("PATCH", "/v1/me", both)
    me = (await alice.request("PATCH", "/v1/me", {"privacy": {"readReceipts": False}})).json
    assert me["notifications"]["preview"] is False
    assert (me["privacy"]["searchable"], me["privacy"]["readReceipts"]) == (False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"preview": 1},
        {"mentions": "yes"},
        {"quietHours": {"start": "24:00", "end": "07:00"}},
        {"quietHours": {"start": "7:00", "end": "08:00"}},
        {"quietHours": {"start": "07:00\n", "end": "08:00"}},
        {"quietHours": {"start": "07:00"}},
        {"quietHours": {"start": "07:00", "end": "08:00", "offsetMin": 841}},
        {"quietHours": [1, 2]},
    ],
)
async def test_what_is_no_setting_is_refused(house: House, wrong: object) -> None:
    alice = await house.person("alice")
    reply = await alice.request("PATCH", "/v1/me", {"notifications": wrong})
    assert (reply.status, reply.json["error"]["code"]) == (400, "bad_frame")
