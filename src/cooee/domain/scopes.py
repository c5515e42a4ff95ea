"""What a token may be used for (PROTOCOL.md §16): a person's for everything, a bot's for what it was made for."""

from collections.abc import Iterable
from enum import StrEnum

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame


class Scope(StrEnum):
    """One thing that a route or a frame may need. The value is what stands on the wire."""

    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"
    GROUPS_WRITE = "groups:write"
    PROFILE_WRITE = "profile:write"
    CONTACTS = "contacts"
    WEBHOOKS = "webhooks"
    ANY = "any"
    """Every good token has it."""
    PERSON = "person"
    """Every token of a person has it, and no token of a bot ever."""


GRANTABLE: tuple[Scope, ...] = tuple(scope for scope in Scope if scope not in (Scope.ANY, Scope.PERSON))
"""What the token of a bot may be given, in the order in which they are shown."""
EVERYTHING: frozenset[Scope] = frozenset(Scope)
"""What a person's token may."""


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of a bot's token.

    Raises:
        CooeeError: ``bad_frame`` for one that is unknown or not for bots, or for none at all.
    """
    known: dict[str, Scope] = {scope.value: scope for scope in GRANTABLE}
    wanted = frozenset(names)
    if not wanted or not wanted <= known.keys():
        raise bad_frame(f"scopes names one or more of: {', '.join(known)}")
    return frozenset(known[name] for name in wanted) | {Scope.ANY}


def granted(scopes: frozenset[Scope]) -> tuple[str, ...]:
    """Return the names of what a bot's token was given, in the order in which they are shown."""
    return tuple(scope.value for scope in GRANTABLE if scope in scopes)


def check_scope(scopes: frozenset[Scope], needed: Scope) -> None:
    """Refuse what a token may not be used for.

    Raises:
        CooeeError: ``forbidden``, naming the scope.
    """
    if needed not in scopes:
        raise CooeeError(ErrorCode.FORBIDDEN, _refusal(needed))


def _refusal(needed: Scope) -> str:
    if needed is Scope.PERSON:
        return "this is not for bots; a person may do it"
    return f"this token lacks the scope {needed}; make one that has it"
