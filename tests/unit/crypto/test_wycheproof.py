"""Project Wycheproof's vectors through our own functions: what breaks others' implementations does not break these.

Each case says ``valid``, ``invalid`` or ``acceptable``. A valid one gives its result, an invalid one is refused, and
for an acceptable one it is written here which of both we do. Where they come from: ``tests/vectors/wycheproof``.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from cooee.client import key_wrap
from cooee.crypto import archive
from cooee.crypto.archive import ArchiveKey, ArchiveReader, ArchiveWriter
from cooee.crypto.errors import BadKey, BadMessage, BadSignature
from cooee.crypto.kem import MlKem1024
from cooee.crypto.keys import AccountPublicKey, DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey
from cooee.crypto.primitives import decrypt_cbc, encrypt_cbc, equal, hkdf, hmac_sha256

FOLDER: Final = Path(__file__).parents[2] / "vectors" / "wycheproof"
COUNTS: Final = {
    "aes_cbc_pkcs5": 72,
    "aes_gcm": 66,
    "ed25519": 151,
    "hkdf_sha256": 86,
    "hmac_sha256": 87,
    "mlkem_1024": 10,
    "mlkem_1024_encaps": 16,
    "x25519": 518,
}
REFUSED_X25519: Final = {"LowOrderPublic", "ZeroSharedSecret", "NonCanonicalPublic"}
"""Of what is acceptable, we refuse these (`check_u`), and take keys on the twist, as RFC 7748 does."""

Case = dict[str, Any]


def cases(name: str) -> list[tuple[Case, Case]]:
    """Return (group, case) of a file."""
    file = json.loads((FOLDER / f"{name}_test.json").read_text("utf-8"))
    found = [(group, case) for group in file["testGroups"] for case in group["tests"]]
    assert len(found) == file["numberOfTests"] == COUNTS[name]
    return found


def octets(case: Case, *names: str) -> Iterator[bytes]:
    return (bytes.fromhex(case[name]) for name in names)


def x25519(_: Case, case: Case) -> bool:
    public, private, shared = octets(case, "public", "private", "shared")
    refused = case["result"] == "acceptable" and bool(REFUSED_X25519 & set(case["flags"]))
    try:
        result = DhPrivateKey(private).exchange(DhPublicKey(public))
    except BadKey:
        return refused or case["result"] == "invalid"
    return not refused and case["result"] != "invalid" and result == shared


def ed25519(group: Case, case: Case) -> bool:
    message, signature = octets(case, "msg", "sig")
    try:
        AccountPublicKey(bytes.fromhex(group["publicKey"]["pk"])).verify(message, signature)
    except BadSignature:
        return bool(case["result"] == "invalid")
    return bool(case["result"] == "valid")


def aes_cbc_pkcs5(_: Case, case: Case) -> bool:
    key, iv, message, ciphertext = octets(case, "key", "iv", "msg", "ct")
    try:
        result = decrypt_cbc(key, iv, ciphertext)
    except BadMessage:
        return bool(case["result"] == "invalid")
    return case["result"] == "valid" and result == message and encrypt_cbc(key, iv, message) == ciphertext


def hmac(_: Case, case: Case) -> bool:
    key, message, tag = octets(case, "key", "msg", "tag")
    return equal(hmac_sha256(key, message), tag) is bool(case["result"] == "valid")


def hkdf_sha256(_: Case, case: Case) -> bool:
    secret, salt, info, wanted = octets(case, "ikm", "salt", "info", "okm")
    try:
        result = hkdf(secret, case["size"], salt=salt, info=info)
    except ValueError:
        return bool(case["result"] == "invalid")
    return case["result"] == "valid" and result == wanted


def aes_gcm(_: Case, case: Case) -> bool:
    """Replay in a wrapped store key and, as that has no associated data, in an archive of one chunk."""
    ok = wrapped(case)
    return ok and (bool(case["aad"]) or archived(case))


def wrapped(case: Case) -> bool:
    key, iv, aad, ciphertext, tag = octets(case, "key", "iv", "aad", "ct", "tag")
    kept = key_wrap.Wrapped(
        key_wrap.VERSION, "passphrase", bytes(16), ciphertext + tag, key_wrap.Costs(), bytes(key_wrap.SALT_BYTES), iv
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_wrap, "_derive", lambda *_: key)
        patch.setattr(key_wrap, "_associated", lambda *_: aad)
        try:
            key_wrap.unwrap_by(kept, "")
        except key_wrap.DoesNotFit:
            return bool(case["result"] == "invalid")
        except key_wrap.NotAKey:
            return bool(case["result"] == "valid")  # authentic, and no store key
    return False


def archived(case: Case) -> bool:
    key, iv, message, ciphertext, tag = octets(case, "key", "iv", "msg", "ct", "tag")
    secret = ArchiveKey.generate(secrets.token_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_keys", lambda *_: (bytes(32), key))
        patch.setattr(archive, "_nonce", lambda *_, **__: iv)
        writer, reader = ArchiveWriter(secret, secrets.token_bytes), ArchiveReader(secret)
        assert writer.update(message) == b""
        reader.update(writer.start() + ciphertext + tag)
        try:
            result = reader.finish()
        except BadMessage:
            return bool(case["result"] == "invalid")
        return case["result"] == "valid" and result == message and writer.finish() == ciphertext + tag


def mlkem_1024(_: Case, case: Case) -> bool:
    seed, public, ciphertext, secret = octets(case, "seed", "ek", "c", "K")
    private = KemPrivateKey(seed)
    try:
        result = MlKem1024().decapsulate(private, ciphertext)
    except BadMessage:
        return bool(case["result"] == "invalid")
    return case["result"] == "valid" and result == secret and bytes(private.public()) == public


def mlkem_1024_encaps(_: Case, case: Case) -> bool:
    """Only keys that are none are kept of these: a valid one would need the encapsulator's randomness."""
    try:
        KemPublicKey(bytes.fromhex(case["ek"]))
    except BadKey:
        return bool(case["result"] == "invalid")
    return bool(case["result"] == "valid")


REPLAYS: Final[dict[str, Callable[[Case, Case], bool]]] = {
    "aes_cbc_pkcs5": aes_cbc_pkcs5,
    "aes_gcm": aes_gcm,
    "ed25519": ed25519,
    "hkdf_sha256": hkdf_sha256,
    "hmac_sha256": hmac,
    "mlkem_1024": mlkem_1024,
    "mlkem_1024_encaps": mlkem_1024_encaps,
    "x25519": x25519,
}
RESULTS: Final = {
    "aes_cbc_pkcs5": "msg",
    "aes_gcm": "msg",
    "hkdf_sha256": "okm",
    "hmac_sha256": "tag",
    "mlkem_1024": "K",
    "x25519": "shared",
}


def wrong(name: str, found: list[tuple[Case, Case]]) -> list[int]:
    """Return the ids of the cases that we answer in another way."""
    return [case["tcId"] for group, case in found if not REPLAYS[name](group, case)]


@pytest.mark.parametrize("name", REPLAYS)
def test_every_vector_is_answered_as_it_says(name: str) -> None:
    assert wrong(name, cases(name)) == []


@pytest.mark.parametrize("name", REPLAYS)
def test_a_planted_wrong_result_is_found(name: str) -> None:
    """Every case that says the contrary is one that fails."""
    planted = deepcopy(cases(name))
    for _, case in planted:
        case["result"] = {"valid": "invalid", "invalid": "valid", "acceptable": "invalid"}[case["result"]]
    refused = [case["tcId"] for _, case in planted if REFUSED_X25519 & set(case["flags"])] if name == "x25519" else []
    assert wrong(name, planted) == [case["tcId"] for _, case in planted if case["tcId"] not in refused]
    assert len(refused) < COUNTS[name] // 4


@pytest.mark.parametrize("name", RESULTS)
def test_a_planted_wrong_byte_is_found(name: str) -> None:
    planted = [(group, case) for group, case in deepcopy(cases(name)) if case["result"] == "valid"]
    planted = [(group, case) for group, case in planted if case[RESULTS[name]] and not case.get("aad")]
    assert planted
    for _, case in planted:
        changed = bytearray.fromhex(case[RESULTS[name]])
        changed[-1] ^= 1
        case[RESULTS[name]] = changed.hex()
    assert wrong(name, planted) == [case["tcId"] for _, case in planted]
