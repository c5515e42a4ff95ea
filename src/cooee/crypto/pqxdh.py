"""PQXDH, revision 3: both sides of the key agreement, without looking anything up (§3.3, §3.4).

The associated data of §3.3 (both identity keys, and here both addresses) is not used here: it goes into the MAC of each
message of the session. ML-KEM binds its public key into the secret (FIPS 203 §6.2), as §4.10 demands.
"""

from typing import Final, NamedTuple

from cooee.crypto.keys import DhPrivateKey, DhPublicKey, IdentityPrivateKey, KemPrivateKey, RootKey, SaltKey
from cooee.crypto.prekeys import PreKeyBundle
from cooee.crypto.primitives import KEY_BYTES, Random, hkdf
from cooee.crypto.suite import FirstMessage, Suite

_F: Final = b"\xff" * 32
"""In front of the secrets, so that the input is never the encoding of a point or scalar (§2.2)."""


class Agreed(NamedTuple):
    """What both have after the agreement."""

    root: RootKey
    salt: SaltKey | None
    """Only when the suite salts message keys."""


class Initiated(NamedTuple):
    """What the initiator has after the agreement."""

    agreed: Agreed
    base_key: DhPublicKey
    kem_ciphertext: bytes


def initiate(suite: Suite, identity: IdentityPrivateKey, bundle: PreKeyBundle, random: Random) -> Initiated:
    """Agree with the owner of ``bundle``, whose signatures are verified first. The ephemeral secret is forgotten.

    Raises:
        BadSignature: a pre-key is not signed by the bundle's identity key.
        BadKey: an exchange gives zero.
    """
    bundle.verify(suite)
    base = DhPrivateKey.generate(random)
    secrets = [
        identity.exchange(bundle.signed_pre_key),
        base.exchange(bundle.identity),
        base.exchange(bundle.signed_pre_key),
    ]
    if bundle.one_time_pre_key is not None:
        secrets.append(base.exchange(bundle.one_time_pre_key))
    secret, ciphertext = suite.kem.encapsulate(bundle.kem_key)
    return Initiated(_agree(suite, [*secrets, secret], initiated=True), base.public(), ciphertext)


def respond(
    suite: Suite,
    identity: IdentityPrivateKey,
    first: FirstMessage,
    signed_pre_key: DhPrivateKey,
    one_time_pre_key: DhPrivateKey | None,
    kem_key: KemPrivateKey,
) -> Agreed:
    """Compute what the initiator has. It proves nothing yet: only a message that decrypts does.

    Raises:
        BadMessage: the KEM ciphertext has no right form.
        BadKey: an exchange gives zero.
    """
    secrets = [
        signed_pre_key.exchange(first.identity),
        identity.exchange(first.base_key),
        signed_pre_key.exchange(first.base_key),
    ]
    if one_time_pre_key is not None:
        secrets.append(one_time_pre_key.exchange(first.base_key))
    return _agree(suite, [*secrets, suite.kem.decapsulate(kem_key, first.kem_ciphertext)], initiated=False)


def _agree(suite: Suite, secrets: list[bytes], *, initiated: bool) -> Agreed:
    joined = _F + b"".join(secrets)
    root = RootKey(hkdf(joined, KEY_BYTES, info=suite.labels.agreement))
    return Agreed(root, None if suite.salt is None else suite.salt.start(joined, initiated=initiated))
