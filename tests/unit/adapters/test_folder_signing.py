"""Addresses of files in this server's folder: good for what they say, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.adapters.files.signing import NotSigned, grant_of, signed_query
from cooee.ports.blob_files import Grant

SECRET = bytes(32)
KEY = "k" * 32
UPLOAD = Grant(method="PUT", key=KEY, expires_at=1000, content_type="image/png", size=10, sha256=b"h" * 32)
PART = Grant(method="PUT", key=KEY, expires_at=1000, content_type="image/png", size=0, part=2, upload_id="u")
DOWNLOAD = Grant(method="GET", key=KEY, expires_at=1000, content_type="image/png", filename="ä &=.png", inline=True)
BARE = Grant(method="GET", key=KEY, expires_at=1000, content_type="image/png")
ALL = [UPLOAD, PART, DOWNLOAD, BARE]


@pytest.mark.parametrize("grant", ALL)
def test_what_is_signed_is_granted(grant: Grant) -> None:
    assert grant_of(SECRET, grant.method, KEY, signed_query(SECRET, grant)) == grant


@pytest.mark.parametrize("grant", ALL)
def test_nothing_of_it_can_be_changed(grant: Grant) -> None:
    query = signed_query(SECRET, grant)
    other = {"GET": "PUT", "PUT": "GET"}[grant.method]
    attempts = [("DELETE", KEY, query), (other, KEY, query), (grant.method, KEY + "k", query)]
    for name, value in query.items():
        rest = {each: old for each, old in query.items() if each != name}
        attempts += [(grant.method, KEY, rest), (grant.method, KEY, {**query, name: value + "0"})]
        attempts += [(grant.method, KEY, {**query, name: ""})]
    attempts += [(grant.method, KEY, {**query, name: "1"}) for name in "enhtpufix" if query.get(name) != "1"]
    for method, key, given_query in attempts:
        with pytest.raises(NotSigned):
            grant_of(SECRET, method, key, given_query)
    with pytest.raises(NotSigned):
        grant_of(bytes(31) + b"1", grant.method, KEY, query)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=8), max_size=6), st.text(max_size=8))
def test_noise_is_not_signed(query: dict[str, str], key: str) -> None:
    with pytest.raises(NotSigned):
        grant_of(SECRET, "GET", key, query)


def test_a_field_cannot_reach_into_the_next() -> None:
    one = signed_query(SECRET, Grant(method="GET", key=KEY, expires_at=1, content_type="a", filename="b"))
    two = signed_query(SECRET, Grant(method="GET", key=KEY, expires_at=1, content_type="af=b"))
    assert one["s"] != two["s"]
