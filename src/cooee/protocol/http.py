"""The bodies of the HTTP API (PROTOCOL.md §7, §8, §11): one struct each, shared by server and client.

Field names here are snake case; on the wire they are camel case. Requests ignore unknown fields; what may be left out
has a default, and a PATCH changes only what is there. Answers always carry all their fields, ``null`` included.
`POST /v1/messages` takes `frames.Send` and answers `frames.Ack`; a page of history is `frames.Messages`.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from cooee.domain.conversation import Role
from cooee.protocol.frames import MemberWatermark, Number
from cooee.protocol.keys import SignedList
from cooee.protocol.push import Notifications, PatchNotifications

Item = TypeVar("Item")


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of all bodies."""


class _Request(_Body, omit_defaults=True, frozen=True):
    """Base of request bodies: what has its default is not sent."""


def _text(low: int, high: int, description: str) -> Any:
    return msgspec.Meta(min_length=low, max_length=high, description=description)


UserIdText = Annotated[str, _text(1, 64, "The account's name.")]
Password = Annotated[str, _text(1, 1024, "At most 1,024 characters; the shortest length is the server's setting.")]


# --- errors and lists -------------------------------------------------------------------------------------------------


class ErrorObject(_Body, omit_defaults=True, frozen=True):
    """A refusal (§10).

    ``missing``, ``extra``, ``rosterVersion`` and ``deviceListHash`` go with ``mismatched_devices`` (§15),
    ``deviceList`` with ``conflict`` of a device list: the one in force; ``used`` and ``allowed`` (bytes) with
    ``too_large`` of a file (§18).
    """

    code: str
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    missing: tuple[dict[str, Any], ...] = ()
    extra: tuple[dict[str, Any], ...] = ()
    roster_version: int | None = None
    device_list_hash: str | None = None
    device_list: SignedList | None = None
    used: int | None = None
    allowed: int | None = None


class ErrorBody(_Body, frozen=True):
    """What every refused HTTP request is answered with (§11)."""

    error: ErrorObject


class Page(_Body, Generic[Item], frozen=True):
    """One page of a list (§11): ``nextCursor`` goes into ``?cursor=``; null: this is the last page."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


# --- accounts and sessions --------------------------------------------------------------------------------------------


class Register(_Request, frozen=True):
    """``POST /v1/accounts``. ``invite`` is needed where registration is by invitation."""

    user_id: UserIdText
    password: Password
    display_name: Annotated[str, _text(0, 256, "How people see the user; the userId when empty.")] = ""
    invite: Annotated[str, _text(0, 128, "A registration invite.")] = ""


class Registered(_Body, frozen=True):
    """The new account; log in with ``POST /v1/sessions``."""

    user_id: str
    display_name: str


class DeviceLogin(_Request, frozen=True):
    """The device that logs in. ``id``: an own device that was logged out and goes on with its keys and outbox."""

    name: Annotated[str, _text(1, 64, "How the user tells his devices apart.")]
    type: Annotated[str, _text(1, 32, "What it is: web, phone, tablet, desktop, cli, bot …")] = "other"
    id: Annotated[str, _text(1, 32, "An own device that was logged out.")] | None = None


class LogIn(_Request, frozen=True):
    """``POST /v1/sessions``."""

    user_id: UserIdText
    password: Password
    device: DeviceLogin


class LoggedIn(_Body, frozen=True):
    """The session: the token is shown once, goes into ``Authorization: Bearer``, and ends with the log-out."""

    token: str
    user_id: str
    device_id: str


class CurrentSession(_Body, frozen=True):
    """``GET /v1/sessions/current``: the token that asks. ``scopes``: a bot's; a person's token is good for everything.

    ``expiresAt`` in ms, 0: never.
    """

    user_id: str
    device_id: str
    device_name: str
    bot: bool
    scopes: tuple[str, ...]
    expires_at: int


class Device(_Body, frozen=True):
    """An own device. ``current`` is the one that asks; times in ms."""

    device_id: str
    name: str
    type: str
    created_at: int
    last_seen: int
    logged_in: bool
    current: bool


class ChangePassword(_Request, frozen=True):
    """``PUT /v1/me/password``; all other devices are logged out."""

    current_password: Password
    new_password: Password


class RecoveryCodes(_Body, frozen=True):
    """New recovery codes, shown once; every former code is void."""

    codes: tuple[str, ...]


class Recover(_Request, frozen=True):
    """``POST /v1/recover``: a new password by a recovery code, which is used up; all devices are logged out."""

    user_id: UserIdText
    code: Annotated[str, _text(1, 64, "A recovery code; spaces, dashes and case do not matter.")]
    new_password: Password


# --- profiles, contacts, blocks ---------------------------------------------------------------------------------------


class Privacy(_Body, frozen=True):
    """The user's own choices (§4, §7, §8, §15)."""

    last_seen: Literal["everyone", "contacts", "nobody"] = "contacts"
    read_receipts: bool = True
    searchable: bool = True
    group_adds: Literal["everyone", "contacts"] = "everyone"
    encrypted_previews: bool = False


class Me(_Body, frozen=True):
    """The own account."""

    user_id: str
    display_name: str
    about: str
    privacy: Privacy
    created_at: int
    admin: bool = False
    bot: bool = False
    notifications: Notifications = Notifications()


class PatchPrivacy(_Request, frozen=True):
    """The choices to change."""

    last_seen: Literal["everyone", "contacts", "nobody"] | UnsetType = UNSET
    read_receipts: bool | UnsetType = UNSET
    searchable: bool | UnsetType = UNSET
    group_adds: Literal["everyone", "contacts"] | UnsetType = UNSET
    encrypted_previews: bool | UnsetType = UNSET


class PatchMe(_Request, frozen=True):
    """``PATCH /v1/me``: what is left out stays."""

    display_name: Annotated[str, _text(0, 256, "How people see the user.")] | UnsetType = UNSET
    about: Annotated[str, _text(0, 1024, "A line about the user.")] | UnsetType = UNSET
    privacy: PatchPrivacy | UnsetType = UNSET
    notifications: PatchNotifications | UnsetType = UNSET


class User(_Body, frozen=True):
    """What everybody may see of a user. A deleted contact keeps his userId and nothing else.

    ``bot``: a program stands behind it.
    """

    user_id: str
    display_name: str
    about: str = ""
    deleted: bool = False
    bot: bool = False


# --- conversations ----------------------------------------------------------------------------------------------------


class Conversation(_Body, frozen=True):
    """One conversation of the user (§7). ``members`` in direct chats and small groups, ``…ByAll`` in large ones.

    ``unread`` is capped at 999. ``title``: the group's name, or the other user's display name. ``lastMessage`` is the
    ``message`` frame of the last number, with this device's envelope only; null in an empty conversation.
    ``mutedUntil`` in ms: 0 = not muted, −1 = for ever.
    """

    conversation_id: str
    kind: Literal["direct", "group"]
    title: str
    last_sequence_number: int
    first_sequence_number: int
    received_sequence_number: int
    read_sequence_number: int
    unread: int
    last_activity: int
    muted_until: int = 0
    pinned: bool = False
    archived: bool = False
    member_count: int = 2
    role: Role | None = None
    left: bool = False
    members: tuple[MemberWatermark, ...] = ()
    delivered_by_all: int | None = None
    read_by_all: int | None = None
    last_message: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))


class PatchConversation(_Request, frozen=True):
    """``PATCH /v1/conversations/{id}``: what is left out stays; the user's other devices are told."""

    muted_until: Annotated[int, msgspec.Meta(ge=-1, le=2**53 - 1)] | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


# --- groups -----------------------------------------------------------------------------------------------------------

GroupName = Annotated[str, _text(1, 256, "The group's name.")]
UserIds = Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)]


class CreateGroup(_Request, frozen=True):
    """``POST /v1/groups``; the creator need not be named."""

    name: GroupName
    member_ids: UserIds = ()


class GroupMember(_Body, frozen=True):
    """A current member; ``joined`` is the number of the system message that let him in.

    ``deviceListVersion``: of his newest signed device list (§15), 0: none.
    """

    user_id: str
    role: Role
    joined: int
    device_list_version: int = 0


class Group(_Body, frozen=True):
    """A group as its members see it. ``notAdded``: users who let only their contacts add them; send an invitation.

    ``deviceListHash``: over the current devices of all members (§15).
    """

    conversation_id: str
    name: str
    owner_id: str
    members: tuple[GroupMember, ...]
    roster_version: int
    created_at: int
    not_added: tuple[str, ...] = ()
    device_list_hash: str = ""


class PatchGroup(_Request, frozen=True):
    """``PATCH /v1/groups/{id}``."""

    name: GroupName | UnsetType = UNSET


class AddMembers(_Request, frozen=True):
    """``POST /v1/groups/{id}/members``."""

    user_ids: UserIds


class SetRole(_Request, frozen=True):
    """``PUT /v1/groups/{id}/members/{userId}/role``; ``owner`` hands the group over."""

    role: Role


class CreateInvite(_Request, frozen=True):
    """``POST /v1/groups/{id}/invite``. ``expiresAt`` in ms, 0: never; ``maxUses`` 0: no bound."""

    expires_at: Number = 0
    max_uses: Number = 0


class Invite(_Body, frozen=True):
    """An invitation to a group; the token is shown once and replaces the former one."""

    token: str
    expires_at: int = 0
    max_uses: int = 0


class Join(_Request, frozen=True):
    """``POST /v1/join``."""

    token: Annotated[str, _text(1, 128, "The token of an invitation.")]


# --- the server -------------------------------------------------------------------------------------------------------


class Health(_Body, frozen=True):
    """``GET /healthz`` and ``GET /readyz``: ``ok``, ``draining`` or ``unavailable``."""

    status: str


class ServerInfo(_Body, frozen=True):
    """``GET /``: what this server is, and where its doors and their descriptions are."""

    name: str
    version: str
    protocol: str = "v1"
    web_socket: str = "/v1/ws"
    long_poll: str = "/v1/poll"
    open_api: str = "/v1/openapi.json"
    async_api: str = "/v1/asyncapi.json"
