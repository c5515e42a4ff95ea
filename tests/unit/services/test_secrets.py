"""Tokens and codes."""

import re

from cooee.domain.ids import DEVICE_ID
from cooee.services.secrets import (
    hash_recovery_code,
    hash_token,
    new_device_id,
    new_invite,
    new_recovery_codes,
    new_token,
)


def test_tokens_have_256_bits_and_invites_128() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", new_token())
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", new_invite())
    assert len({new_token() for _ in range(100)}) == 100


def test_a_token_is_kept_as_its_hash() -> None:
    token = new_token()
    assert len(hash_token(token)) == 32
    assert token.encode() not in hash_token(token)
    assert hash_token(token) == hash_token(token)


def test_what_cannot_be_a_token_is_not_hashed() -> None:
    assert {hash_token(text) for text in ("", "x" * 129, "tökén", "\ud800")} == {b""}


def test_recovery_codes_have_80_bits_each() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        assert re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", code)


def test_a_code_is_recognised_however_it_is_typed_and_only_its_owners() -> None:
    code = "oldb-oldb-mnop-qrst"
    known = hash_recovery_code("alice", code)
    for typed in (code.upper(), code.replace("-", ""), "01d8 0LDB mnop qrst", f" {code}\n"):
        assert hash_recovery_code("alice", typed) == known
    assert hash_recovery_code("bob", code) != known
    assert hash_recovery_code("alice", code[:-1]) != known


def test_device_ids_are_valid() -> None:
    assert all(DEVICE_ID.fullmatch(new_device_id()) for _ in range(100))
