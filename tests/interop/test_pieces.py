"""The pieces of the core beside sessions, held against the same pieces of an independent implementation."""

from random import Random
from secrets import token_bytes
from uuid import UUID

import pytest

from cooee.crypto import safety_number, sender_key
from cooee.crypto.errors import BadSignature, Duplicate
from cooee.crypto.keys import ChainKey, DhPrivateKey, IdentityPrivateKey, IdentityPublicKey
from cooee.crypto.primitives import decrypt_cbc, encrypt_cbc, hkdf, verify_xeddsa
from cooee.crypto.sender_key import PeerChain, SigningPrivateKey, SigningPublicKey
from cooee.crypto.wire import Field, Kind, read, write
from tests.interop.libsignal_suite import LIBSIGNAL, verify
from tests.interop.oracle import Oracle, Refused
from tests.interop.talkers import Theirs

GROUP = str(UUID(int=77, version=4))
HEAD = b"\x33"
SIGNATURE = 64
DISTRIBUTION = {
    1: Field(Kind.BYTES, most=16),
    2: Field(Kind.NUMBER),
    3: Field(Kind.NUMBER),
    4: Field(Kind.BYTES, most=32),
    5: Field(Kind.BYTES, most=33),
}
MESSAGE = {1: Field(Kind.BYTES, most=16), 2: Field(Kind.NUMBER), 3: Field(Kind.NUMBER), 4: Field(Kind.BYTES)}


@pytest.mark.parametrize("seed", range(20))
def test_signatures_are_understood(oracle: Oracle, seed: int) -> None:
    """Ours always; theirs are XEdDSA's when the signer's Edwards point has sign 0, else their top bit says 1."""
    message = Random(seed).randbytes(seed * 7)
    key = IdentityPrivateKey.generate(token_bytes)
    public = key.public()
    encoded = LIBSIGNAL.framing.encode_public(public).hex()
    made = key.sign(message, token_bytes)
    assert oracle.ask("verify", key=encoded, message=message.hex(), signature=made.hex())["holds"]
    assert not oracle.ask("verify", key=encoded, message=(message + b"!").hex(), signature=made.hex())["holds"]
    theirs = bytes.fromhex(oracle.ask("sign", key=bytes(key).hex(), message=message.hex())["signature"])
    verify(bytes(public), message, theirs)
    with pytest.raises(BadSignature):
        verify(bytes(public), message + b"!", theirs)
    if theirs[63] >> 7:
        with pytest.raises(BadSignature):
            verify_xeddsa(bytes(public), message, theirs)


@pytest.mark.parametrize("seed", range(10))
def test_exchanges_agree(oracle: Oracle, seed: int) -> None:
    random = Random(seed).randbytes
    one, other = DhPrivateKey.generate(random), DhPrivateKey.generate(random)
    encoded = LIBSIGNAL.framing.encode_public(other.public()).hex()
    theirs = oracle.ask("agree", key=bytes(one).hex(), peer=encoded)["shared"]
    assert bytes.fromhex(theirs) == other.exchange(one.public())


class EncodedKey:
    """A public key as the other side encodes it, for the place of an account key."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def __bytes__(self) -> bytes:
        return self._encoded


def test_safety_numbers_agree_but_for_their_label(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours has a label and version of its own; without these the digits are the other implementation's."""
    monkeypatch.setattr(safety_number, "_LABEL", b"")
    monkeypatch.setattr(safety_number, "_VERSION", b"\0\0")
    people = [
        (name, LIBSIGNAL.framing.encode_public(IdentityPrivateKey.generate(token_bytes).public()))
        for name in ("alice", "bob")
    ]
    (mine, my_key), (yours, your_key) = people
    theirs = oracle.ask(
        "fingerprint",
        iterations=safety_number.ITERATIONS,
        version=2,
        local={"id": mine.encode().hex(), "key": my_key.hex()},
        remote={"id": yours.encode().hex(), "key": your_key.hex()},
    )
    made = safety_number.safety_number(
        mine,
        EncodedKey(my_key),  # type: ignore[arg-type]
        yours,
        EncodedKey(your_key),  # type: ignore[arg-type]
    )
    assert made.digits == theirs["digits"]
    # Their QR code: version, then each side's first 32 bytes in a message of its own.
    sides = safety_number._sides(made.qr)
    assert bytes.fromhex(theirs["qr"]) == b"\x08\x02\x12\x22\x0a\x20" + sides[:32] + b"\x1a\x22\x0a\x20" + sides[32:]


def group_keys(message_key: bytes) -> tuple[bytes, bytes]:
    """Return cipher key and vector of a group message."""
    output = hkdf(message_key, 48, info=b"WhisperGroup")
    return output[16:], output[:16]


def take(distribution: bytes) -> PeerChain:
    """Read a distribution of the other side as the state that our receiver keeps."""
    assert distribution[:1] == HEAD
    numbers, octets = read(distribution[1:], DISTRIBUTION)
    assert octets[1] == UUID(GROUP).bytes
    signing = LIBSIGNAL.framing.decode_public(SigningPublicKey, octets[5])
    return PeerChain(numbers[2], numbers[3], ChainKey(octets[4]), signing)


def read_group(chain: PeerChain, message: bytes) -> tuple[PeerChain, bytes]:
    """Decrypt a group message of the other side with our chain."""
    body = message[:-SIGNATURE]
    verify(bytes(chain.signing), body, message[-SIGNATURE:])
    numbers, octets = read(body[1:], MESSAGE)
    assert numbers[2] == chain.chain_id
    chain, key = sender_key._key_at(chain, numbers[3])
    return chain, decrypt_cbc(*group_keys(bytes(key)), octets[4])


def test_our_chain_reads_their_group_messages(oracle: Oracle) -> None:
    """In any order, from the place of the distribution on, each once."""
    theirs = Theirs(oracle)
    theirs.ask("distribute", distributionId=GROUP)
    missed = theirs.ask("groupEncrypt", distributionId=GROUP, plaintext="00")["message"]
    chain = take(bytes.fromhex(theirs.ask("distribute", distributionId=GROUP)["distribution"]))
    texts = [b"message %d" % number for number in range(8)]
    messages = [
        bytes.fromhex(theirs.ask("groupEncrypt", distributionId=GROUP, plaintext=text.hex())["message"])
        for text in texts
    ]
    for number in (2, 0, 7, 1, 6, 3, 5, 4):
        chain, text = read_group(chain, messages[number])
        assert text == texts[number]
    for again in (messages[3], bytes.fromhex(missed)):
        with pytest.raises(Duplicate):
            read_group(chain, again)
    changed = messages[0][:20] + bytes((messages[0][20] ^ 1,)) + messages[0][21:]
    with pytest.raises(BadSignature):
        read_group(chain, changed)


def test_their_chain_reads_our_group_messages(oracle: Oracle) -> None:
    theirs, sender = Theirs(oracle), Theirs(oracle).at
    random = Random(5).randbytes
    signing, chain_key, chain_id = SigningPrivateKey.generate(random), ChainKey(random(32)), 4711
    place = (1, UUID(GROUP).bytes), (2, chain_id)
    public = LIBSIGNAL.framing.encode_public(IdentityPublicKey(signing.public_bytes()))
    distribution = HEAD + write((*place, (3, 0), (4, bytes(chain_key)), (5, public)))
    told = theirs.ask("accept", peer=sender, distribution=distribution.hex())
    assert told == {"distributionId": GROUP, "chainId": chain_id, "iteration": 0}
    messages = []
    for number in range(9):
        key, chain_key = sender_key._step(chain_key)
        ciphertext = encrypt_cbc(*group_keys(bytes(key)), b"message %d" % number)
        body = HEAD + write((*place, (3, number), (4, ciphertext)))
        messages.append((body + signing.sign(body, random)).hex())
    for number in (2, 0, 7, 1, 6, 3, 5, 4):
        answer = theirs.ask("groupDecrypt", peer=sender, message=messages[number])
        assert bytes.fromhex(answer["plaintext"]) == b"message %d" % number
    forged = messages[8][:-2] + ("00" if messages[8][-2:] != "00" else "01")
    for message in (messages[3], forged):
        with pytest.raises(Refused):
            theirs.ask("groupDecrypt", peer=sender, message=message)
    assert bytes.fromhex(theirs.ask("groupDecrypt", peer=sender, message=messages[8])["plaintext"]) == b"message 8"
