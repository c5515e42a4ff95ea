"""What the cryptographic core refuses, one class per cause. No text holds a key, a plaintext or an address."""


class CryptoError(Exception):
    """Something was refused, and nothing was changed. The class says why; the text is a constant."""


class BadKey(CryptoError):
    """A key is no key: wrong length, not canonical, of low order, or its Diffie-Hellman result is zero."""


class BadSignature(CryptoError):
    """A signature does not fit the key and what was signed."""


class BadMessage(CryptoError):
    """A message is malformed, or was not made by the peer of this session: its form, MAC or padding is wrong."""


class UnsupportedVersion(BadMessage):
    """The version byte of a message is not the suite's. A newer program may read it."""


class Duplicate(CryptoError):
    """The message was decrypted before, or its key was given up: the key is not there any more."""


class TooFarAhead(CryptoError):
    """The message would skip more than ``MAX_AHEAD`` keys of a chain."""


class NoSession(CryptoError):
    """There is no session that could encrypt or decrypt this."""


class IdentityMismatch(CryptoError):
    """A bundle or first message carries another identity key than the peer's."""


class UnknownPreKey(CryptoError):
    """A first message names a pre-key that is not there: used up, replaced, or never ours."""


class ReplayedFirstMessage(Duplicate):
    """A first message that used the last-resort key was seen before."""


class BadState(CryptoError):
    """Bytes are no stored state: damaged, or of a version that this program cannot bring up to date."""
