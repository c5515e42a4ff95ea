"""Routes of profiles, contacts and blocks (PROTOCOL.md §11)."""

from functools import partial
from typing import Annotated

import msgspec

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import is_user_id
from cooee.domain.scopes import Scope
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import http
from cooee.services.contacts import Relation

_Call = Call[HttpServices]


class SearchQuery(msgspec.Struct, frozen=True):
    """``?query=``: the beginning of a userId or of a word of a display name."""

    query: Annotated[str, msgspec.Meta(max_length=256, description="At least 3 characters.")]


async def get_me(call: _Call) -> http.Me:
    """Return the own account."""
    return await call.services.profiles.me(call.caller.user_id)


async def patch_me(call: _Call) -> http.Me:
    """Change the own profile and privacy."""
    return await call.services.profiles.change(call.caller, call.body)


async def get_user(call: _Call) -> http.User:
    """Look a user up."""
    return await call.services.profiles.user(call.path["userId"])


async def search_users(call: _Call) -> http.Page[http.User]:
    """Find users."""
    query: SearchQuery = call.query
    return http.Page(tuple(await call.services.profiles.search(call.caller.user_id, query.query)))


async def _put(relation: Relation, call: _Call) -> None:
    await call.services.contacts.put(call.caller, relation, call.path["userId"])


async def _remove(relation: Relation, call: _Call) -> None:
    await call.services.contacts.remove(call.caller, relation, call.path["userId"])


async def _list(relation: Relation, call: _Call) -> http.Page[http.User]:
    query: PageQuery = call.query
    after = from_cursor(query.cursor, is_user_id)
    found = await call.services.contacts.page(call.caller.user_id, relation, after, query.size + 1)
    return page_of(found, query.size, lambda user: user.user_id)


def _relation_routes(relation: Relation, put: str, remove: str, shown: str) -> tuple[Route, ...]:
    path = f"/v1/{relation}s"
    return (
        Route(
            method="PUT",
            path=f"{path}/{{userId}}",
            endpoint=partial(_put, relation),
            name=f"put{relation.capitalize()}",
            summary=put,
            tag="users",
            needs=Scope.CONTACTS,
            status=204,
            errors=(ErrorCode.NOT_FOUND,),
        ),
        Route(
            method="DELETE",
            path=f"{path}/{{userId}}",
            endpoint=partial(_remove, relation),
            name=f"delete{relation.capitalize()}",
            summary=remove,
            tag="users",
            needs=Scope.CONTACTS,
            status=204,
        ),
        Route(
            method="GET",
            path=path,
            endpoint=partial(_list, relation),
            name=f"list{relation.capitalize()}s",
            summary=shown,
            tag="users",
            needs=Scope.CONTACTS,
            query=PageQuery,
            response=http.Page[http.User],
        ),
    )


ROUTES = (
    Route(
        method="GET",
        path="/v1/me",
        endpoint=get_me,
        summary="The own account.",
        tag="users",
        needs=Scope.ANY,
        response=http.Me,
    ),
    Route(
        method="PATCH",
        path="/v1/me",
        endpoint=patch_me,
        summary="Change the own profile and privacy settings; what is left out stays.",
        tag="users",
        needs=Scope.PROFILE_WRITE,
        request=http.PatchMe,
        response=http.Me,
    ),
    Route(
        method="GET",
        path="/v1/users/{userId}",
        endpoint=get_user,
        summary="Look a user up.",
        tag="users",
        needs=Scope.ANY,
        response=http.User,
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path="/v1/users",
        endpoint=search_users,
        summary="Find users by the beginning of a userId or name: at most 20, and only who lets himself be found.",
        tag="users",
        needs=Scope.CONTACTS,
        query=SearchQuery,
        response=http.Page[http.User],
        limit="user_searches",
    ),
    *_relation_routes(
        "contact",
        "Add a contact.",
        "Remove a contact.",
        "List the own contacts by userId.",
    ),
    *_relation_routes(
        "block",
        "Block a user: no direct messages and no presence, either way.",
        "Unblock a user.",
        "List whom the user blocks, by userId.",
    ),
)
