"""The bodies of the administrative API, which the server offers on a Unix socket in its data folder only."""

from typing import Annotated, Literal

import msgspec

from cooee.protocol.frames import Number

_PasswordText = Annotated[str, msgspec.Meta(max_length=1024, description="Empty: one is made up and shown once.")]


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of all bodies."""


class AdminUser(_Body, frozen=True):
    """An account as its operator sees it; times in ms. ``ownerId`` is a bot's; empty: the server's own."""

    user_id: str
    display_name: str
    created_at: int
    last_seen: int
    disabled: bool
    deleted: bool
    admin: bool
    bot: bool = False
    owner_id: str = ""


class CreateUser(_Body, omit_defaults=True, frozen=True):
    """``POST /v1/admin/users``: open an account, whatever registration says."""

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: _PasswordText = ""
    display_name: Annotated[str, msgspec.Meta(max_length=256)] = ""
    admin: bool = False


class EnrolUsers(_Body, omit_defaults=True, frozen=True):
    """``POST /v1/admin/users/bulk``: open accounts without a password, each with one device that is logged in."""

    user_ids: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(min_length=1, max_length=1000)
    ]
    device_name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "enrolled"
    device_type: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] = "bot"


class EnrolledUser(_Body, frozen=True):
    """A new account with its device; the token is shown once."""

    user_id: str
    device_id: str
    token: str


class EnrolledUsers(_Body, frozen=True):
    """The new accounts, in the order asked for."""

    items: tuple[EnrolledUser, ...]


class SetPassword(_Body, omit_defaults=True, frozen=True):
    """``PUT /v1/admin/users/{userId}/password``; all devices are logged out, recovery codes are void."""

    password: _PasswordText = ""


class NewPassword(_Body, frozen=True):
    """The account and its password, if the server made it up; else ``password`` is empty."""

    user_id: str
    password: str


class CreateRegistrationInvite(_Body, omit_defaults=True, frozen=True):
    """``POST /v1/admin/invites``. ``expiresAt`` in ms, 0: never; ``maxUses`` 0: no bound."""

    expires_at: Number = 0
    max_uses: Number = 1


class RegistrationInvite(_Body, frozen=True):
    """An invite to register; the token is shown once."""

    token: str
    expires_at: int
    max_uses: int


class LogLevel(_Body, frozen=True):
    """The least severe log entries to write."""

    level: Literal["debug", "info", "warning", "error"]


class MakeBackup(_Body, omit_defaults=True, frozen=True):
    """``POST /v1/admin/backup``: write a backup to an absolute path that the server can reach."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    replace: bool = False


class BackupProgress(_Body, frozen=True):
    """How far the last backup is; ``done`` of ``total`` bytes of this part, 0 where that is not known.

    ``state``: ``none``, ``copying``, ``checking``, ``writing``, ``verifying``, ``done``; ``failed`` with ``message``.
    """

    state: str
    file: str
    done: int
    total: int
    message: str
