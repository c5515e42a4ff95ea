"""Routes of files: where to upload, where to download (PROTOCOL.md §18). The files themselves go to the store."""

from typing import Annotated, Literal

import msgspec
from starlette.responses import RedirectResponse

from cooee.domain.errors import ErrorCode
from cooee.domain.scopes import Scope
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import media

_Call = Call[HttpServices]


class MediaQuery(msgspec.Struct, frozen=True):
    """``?variant=thumbnail&redirect=false``."""

    variant: Annotated[
        Literal["original", "thumbnail"], msgspec.Meta(description="The file itself, or a small picture of it.")
    ] = "original"
    redirect: Annotated[bool, msgspec.Meta(description="false: answer in JSON instead of leading there.")] = True


async def request_upload(call: _Call) -> media.Upload:
    """Grant an upload."""
    return await call.services.media.request_upload(call.caller.user_id, call.body)


async def complete_upload(call: _Call) -> None:
    """Join the parts of an upload."""
    await call.services.media.complete(call.caller.user_id, call.path["mediaKey"], call.body.upload_id)


async def get_media(call: _Call) -> media.MediaLink | RedirectResponse:
    """Lead to a file."""
    query: MediaQuery = call.query
    link = await call.services.media.download(
        call.caller.user_id, call.path["mediaKey"], thumbnail=query.variant == "thumbnail"
    )
    if not query.redirect:
        return link
    return RedirectResponse(link.url, 302, {"cache-control": "no-store"})


ROUTES = (
    Route(
        method="POST",
        path="/v1/media/uploads",
        endpoint=request_upload,
        summary="Ask for the upload of a file: the answer says where to send it.",
        tag="media",
        needs=Scope.MESSAGES_WRITE,
        status=201,
        request=media.RequestUpload,
        response=media.Upload,
        limit="media_uploads",
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    Route(
        method="POST",
        path="/v1/media/{mediaKey}/complete",
        endpoint=complete_upload,
        summary="Join the parts of an upload. Idempotent.",
        tag="media",
        needs=Scope.MESSAGES_WRITE,
        status=204,
        request=media.CompleteUpload,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    Route(
        method="GET",
        path="/v1/media/{mediaKey}",
        endpoint=get_media,
        summary="Where a file of a message lies: a redirect, or what is known of it.",
        tag="media",
        needs=Scope.MESSAGES_READ,
        query=MediaQuery,
        response=media.MediaLink,
        also={302: "The file lies there."},
        errors=(ErrorCode.NOT_FOUND,),
    ),
)
