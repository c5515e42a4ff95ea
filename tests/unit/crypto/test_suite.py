"""The suite's framing: what it writes it reads, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.crypto.errors import BadKey, BadMessage, UnsupportedVersion
from cooee.crypto.keys import DhPublicKey
from cooee.crypto.suite import COOEE_V1, MAX_COUNTER, FirstMessage, Header, MessageKind, Party, Route
from cooee.domain.ids import DeviceRef
from tests.fakes.pairwise import make_device

ALICE, BOB = make_device("alice"), make_device("bob")
ROUTE = Route(ALICE.party, BOB.party)
KEY = ALICE.signed.private.public()
FRAMING = COOEE_V1.framing
FIRST = FirstMessage(ALICE.party.identity, KEY, 7, 1, 1000, bytes(1568), b"inner")


@given(st.integers(0, MAX_COUNTER), st.integers(0, MAX_COUNTER), st.binary(max_size=200))
def test_a_message_is_read_as_it_was_written(counter: int, previous: int, ciphertext: bytes) -> None:
    header = Header(KEY, counter, previous)
    body = FRAMING.encode_message(ROUTE, header, ciphertext)
    assert FRAMING.kind(body) is MessageKind.NEXT
    assert FRAMING.decode_message(ROUTE, body) == (header, ciphertext)


@pytest.mark.parametrize("one_time", [None, 1])
def test_a_first_message_is_read_as_it_was_written(one_time: int | None) -> None:
    first = FIRST._replace(one_time_pre_key_id=one_time)
    frame = FRAMING.encode_first(first)
    assert FRAMING.kind(frame) is MessageKind.FIRST
    assert FRAMING.decode_first(frame) == first


@given(st.binary(max_size=80))
def test_anything_else_is_refused(data: bytes) -> None:
    for frame in (data, b"\x01\x01" + data, b"\x01\x02" + data):
        for decode in (lambda octets: FRAMING.decode_message(ROUTE, octets), FRAMING.decode_first):
            with pytest.raises((BadMessage, BadKey)):
                decode(frame)


def test_another_version_is_told_apart_from_garbage() -> None:
    with pytest.raises(UnsupportedVersion):
        FRAMING.kind(b"\x02\x01")
    for frame in (b"", b"\x01", b"\x01\x03", b"\x01\x00"):
        with pytest.raises(BadMessage) as refused:
            FRAMING.kind(frame)
        assert refused.type is BadMessage


def test_a_bad_ratchet_key_is_refused() -> None:
    frame = FRAMING.encode_message(ROUTE, Header(KEY, 0, 0), b"c")
    with pytest.raises(BadKey):
        FRAMING.decode_message(ROUTE, frame.replace(bytes(KEY), bytes(32)))


def test_the_associated_data_binds_both_addresses_and_keys_in_order() -> None:
    alice, bob, eve = ALICE.party, BOB.party, make_device("eve").party
    routes = [
        Route(alice, bob),
        Route(bob, alice),
        Route(eve, bob),
        Route(alice, eve),
        Route(Party(alice.ref, eve.identity), bob),
        Route(Party(eve.ref, alice.identity), bob),
        Route(alice, Party(bob.ref, eve.identity)),
        Route(alice, Party(DeviceRef("bob", "bob2"), bob.identity)),
        Route(Party(DeviceRef("alic", "ealice1"), alice.identity), bob),
    ]
    assert len({FRAMING.associated_data(route) for route in routes}) == len(routes)
    assert FRAMING.associated_data(Route(alice, bob, first=True)) == FRAMING.associated_data(Route(alice, bob))


def test_public_keys_are_32_bytes() -> None:
    assert FRAMING.encode_public(KEY) == bytes(KEY)
    assert FRAMING.decode_public(DhPublicKey, bytes(KEY)) == KEY
