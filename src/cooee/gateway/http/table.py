"""The one table of everything that the public HTTP API offers; documents, checks and tests are made from it."""

from cooee.gateway.http import (
    accounts,
    bots,
    conversations,
    groups,
    incoming,
    keys,
    media,
    push,
    server,
    users,
    webhooks,
)
from cooee.gateway.http.documents import document_routes
from cooee.gateway.http.route import Route

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *users.ROUTES,
    *conversations.ROUTES,
    *groups.ROUTES,
    *keys.ROUTES,
    *media.ROUTES,
    *bots.ROUTES,
    *incoming.ROUTES,
    *webhooks.ROUTES,
    *push.ROUTES,
    *server.ROUTES,
    *document_routes(lambda: ROUTES),
)
