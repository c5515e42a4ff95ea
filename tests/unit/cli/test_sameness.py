"""A file that is here already is known again, also when only its encrypted form was ever named."""

import hashlib
import secrets
from pathlib import Path

import pytest

from cooee.cli.sameness import IV, hashed, sealed_alike
from cooee.client.model import Media
from cooee.crypto.attachment import FileKey, Sealing
from cooee.domain import base64url


def sealed(content: bytes) -> tuple[Media, bytes]:
    """Encrypt a file; return what its message says of it, and the encrypted file."""
    key = FileKey.generate(secrets.token_bytes)
    sealing = Sealing(key, len(content), secrets.token_bytes)
    written = sealing.update(content)
    end = sealing.finish()
    digest = base64url.encode(end.digest)
    media = Media("k", "text/plain", len(content), key=base64url.encode(bytes(key)), digest=digest)
    return media, written + end.tail


@pytest.mark.parametrize("content", [b"x", b"meet at nine " * 9_000])
def test_the_same_file_is_known_by_the_beginning_of_its_encrypted_form(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    media, stored = sealed(content)
    assert sealed_alike(file, media, stored[:IV])
    assert not sealed_alike(file, media, b"\0" * IV)
    assert not sealed_alike(file, media, stored[: IV - 1])
    file.write_bytes(content[:-1] + b"!")
    assert not sealed_alike(file, media, stored[:IV])
    file.write_bytes(content + b"!")
    assert not sealed_alike(file, media, stored[:IV])


def test_a_message_that_names_no_key_names_no_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert not sealed_alike(file, Media("k", "text/plain", 1, key="?", digest="?"), b"\0" * IV)


def test_a_plain_file_is_known_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert hashed(file) == hashlib.sha256(b"x").hexdigest()
