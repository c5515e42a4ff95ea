"""How encrypted bodies name other messages: as the vectors say, each another, and of 22 characters."""

import hashlib
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cooee.domain import base64url
from cooee.domain.reference import reference_of, reference_of_stored

VECTORS = Path(__file__).parents[3] / "spec" / "vectors" / "e2ee" / "body.json"
NAMES = st.tuples(*[st.text(st.characters(exclude_characters="\x00"), max_size=5)] * 3)


def test_it_is_the_beginning_of_a_hash_as_the_vectors_have_it() -> None:
    for one in json.loads(VECTORS.read_text("utf-8"))["references"]:
        parts = (one["senderId"], one["senderDeviceId"], one["clientMessageId"])
        digest = hashlib.sha256(b"cooee-v1 message\x00" + "\x00".join(parts).encode()).digest()
        assert reference_of(*parts) == base64url.encode(digest[:16]) == one["reference"]
        assert len(one["reference"]) == 22


@given(NAMES, NAMES)
def test_two_messages_have_two_names(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (reference_of(*one) == reference_of(*other)) == (one == other)


def test_what_the_server_says_itself_has_none() -> None:
    assert reference_of_stored("bob", "d1", "c1", "text") == reference_of("bob", "d1", "c1")
    assert reference_of_stored("bob", "d1", "c1", "system") == ""
    assert reference_of_stored("bob", "d1", "", "text") == ""
