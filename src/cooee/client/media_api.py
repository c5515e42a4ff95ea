"""The operations of files (PROTOCOL.md §18): ask for an upload, say that its parts are there, ask where a file lies."""

from abc import abstractmethod
from collections.abc import AsyncIterable, Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp

from cooee.client.calls import Calls, part
from cooee.protocol import media


class MediaApi(Calls):
    """Files themselves go straight to the store and come from there, by `blob`."""

    async def request_upload(self, wanted: media.RequestUpload) -> media.Upload:
        """Ask where to upload a file; with ``media_key``: once more for the same."""
        return await self._call("POST", "/v1/media/uploads", media.Upload, wanted)

    async def complete_upload(self, media_key: str, upload_id: str) -> None:
        """Let the parts of an upload be joined."""
        await self._do("POST", f"/v1/media/{part(media_key)}/complete", media.CompleteUpload(upload_id))

    async def media(self, media_key: str, *, thumbnail: bool = False) -> media.MediaLink:
        """Return where a file lies, or its thumbnail, and what is known of it; ``not_found`` when there is none."""
        params = {"redirect": "false"} | ({"variant": "thumbnail"} if thumbnail else {})
        return await self._call("GET", f"/v1/media/{part(media_key)}", media.MediaLink, None, params)

    @abstractmethod
    def blob(
        self, method: str, url: str, headers: Mapping[str, str], body: AsyncIterable[bytes] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Make a request to the store at a signed address, without the token; whatever is answered is returned."""
