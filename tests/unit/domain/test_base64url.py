"""base64url: each value has one text, and no other text is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain import base64url


@given(st.binary(max_size=70))
def test_a_value_comes_back_from_its_text(value: bytes) -> None:
    assert base64url.decode(base64url.encode(value)) == value


@given(st.text(alphabet="AB9-_zw=+/ \n", max_size=12))
def test_every_text_that_is_taken_is_the_one_that_is_written(text: str) -> None:
    try:
        value = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(value) == text


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "AAB", "+/+/", "AA\n", " AA", "é", "AAAAA"])
def test_other_texts_are_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="base64url") as refusal:
        base64url.decode(text)
    assert text not in str(refusal.value)
