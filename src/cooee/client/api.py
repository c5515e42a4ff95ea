"""Every operation of the HTTP API (PROTOCOL.md §6–§8, §11, §15–§18), typed, one method each."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from cooee.client.bots import BotsApi
from cooee.client.errors import ConnectionFailed, NotLoggedIn, ServerError
from cooee.client.keys_api import KeysApi
from cooee.client.media_api import MediaApi
from cooee.client.push_api import PushApi
from cooee.client.reasons import reason_of
from cooee.client.trust import trusted
from cooee.client.webhooks_api import WebhooksApi
from cooee.domain.conversation import Role
from cooee.protocol import frames, http

T = TypeVar("T")
REQUEST_S = 30.0


class Api(BotsApi, PushApi, WebhooksApi, MediaApi, KeysApi):
    """The operations that ``token`` may use at ``url``; without a token only `register`, `log_in` and `recover`.

    Each raises `ServerError` for a refusal (`NotLoggedIn` for a refused token) and `ConnectionFailed` when the server
    cannot be reached or does not answer within 30 s. Nothing is repeated by itself.
    ``ca_file``: an authority (PEM) to trust beside the system's; without it `COOEE_CA_FILE` is asked.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        http_session: aiohttp.ClientSession | None = None,
        ca_file: str | Path | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = http_session
        self._owned = http_session is None
        self._ca_file = ca_file

    async def __aenter__(self) -> Self:
        if self._http is None:
            self._http = new_http_session(self._ca_file)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned and self._http is not None:
            await self._http.close()
            self._http = None

    # --- accounts and sessions

    async def register(
        self, user_id: str, password: str, *, display_name: str = "", invite: str = ""
    ) -> http.Registered:
        """Create an account; ``conflict`` when the name is taken."""
        body = http.Register(user_id, password, display_name, invite)
        return await self._call("POST", "/v1/accounts", http.Registered, body)

    async def log_in(
        self, user_id: str, password: str, *, device_name: str, device_type: str = "other", device_id: str | None = None
    ) -> http.LoggedIn:
        """Log in as a new device, or as an own one that was logged out (``device_id``)."""
        body = http.LogIn(user_id, password, http.DeviceLogin(device_name, device_type, device_id))
        return await self._call("POST", "/v1/sessions", http.LoggedIn, body)

    async def log_out(self) -> None:
        """End this session; the device may log in again under its id."""
        await self._do("DELETE", "/v1/sessions/current")

    async def session(self) -> http.CurrentSession:
        """Return whose token this is, which device it stands for, and what it is good for."""
        return await self._call("GET", "/v1/sessions/current", http.CurrentSession)

    async def devices(self) -> Sequence[http.Device]:
        """List the own devices."""
        return await self._all("/v1/devices", http.Device)

    async def revoke_device(self, device_id: str) -> None:
        """Log a device out for good; its connections are closed."""
        await self._do("DELETE", f"/v1/devices/{_part(device_id)}")

    async def change_password(self, current: str, new: str) -> None:
        """Change the password; other devices are logged out."""
        await self._do("PUT", "/v1/me/password", http.ChangePassword(current, new))

    async def new_recovery_codes(self) -> Sequence[str]:
        """Make new recovery codes; all former ones are void."""
        return (await self._call("POST", "/v1/me/recovery-codes", http.RecoveryCodes)).codes

    async def recover(self, user_id: str, code: str, new_password: str) -> None:
        """Set a new password by a recovery code, which is used up."""
        await self._do("POST", "/v1/recover", http.Recover(user_id, code, new_password))

    async def delete_account(self) -> None:
        """Delete the own account with all its data. There is no way back."""
        await self._do("DELETE", "/v1/me")

    async def export(self) -> AsyncIterator[bytes]:
        """Yield all data of the own account, as JSON in pieces."""
        async with self._answer("GET", "/v1/me/export") as answer:
            async for piece in answer.content.iter_any():
                yield piece

    # --- people

    async def me(self) -> http.Me:
        """Return the own profile and privacy choices."""
        return await self._call("GET", "/v1/me", http.Me)

    async def update_me(self, changes: http.PatchMe) -> http.Me:
        """Change the own profile or privacy choices."""
        return await self._call("PATCH", "/v1/me", http.Me, changes)

    async def user(self, user_id: str) -> http.User:
        """Look a user up."""
        return await self._call("GET", f"/v1/users/{_part(user_id)}", http.User)

    async def search_users(self, query: str) -> Sequence[http.User]:
        """Search users by the beginning of a name (at least 3 characters); at most 20."""
        page = await self._call("GET", "/v1/users", http.Page[http.User], params={"query": query})
        return page.items

    async def contacts(self) -> Sequence[http.User]:
        """List the own contacts."""
        return await self._all("/v1/contacts", http.User)

    async def add_contact(self, user_id: str) -> None:
        """Make a user a contact."""
        await self._do("PUT", f"/v1/contacts/{_part(user_id)}")

    async def remove_contact(self, user_id: str) -> None:
        """Make a user no contact any more."""
        await self._do("DELETE", f"/v1/contacts/{_part(user_id)}")

    async def blocks(self) -> Sequence[http.User]:
        """List whom the user blocks."""
        return await self._all("/v1/blocks", http.User)

    async def block(self, user_id: str) -> None:
        """Block a user: no direct messages either way."""
        await self._do("PUT", f"/v1/blocks/{_part(user_id)}")

    async def unblock(self, user_id: str) -> None:
        """Lift a block."""
        await self._do("DELETE", f"/v1/blocks/{_part(user_id)}")

    # --- conversations and messages

    async def conversations_page(self, cursor: str | None = None, limit: int = 100) -> http.Page[http.Conversation]:
        """Return one page of the conversation list, last activity first."""
        params = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return await self._call("GET", "/v1/conversations", http.Page[http.Conversation], params=params)

    async def conversations(self) -> AsyncIterator[http.Conversation]:
        """Yield all conversations, last activity first."""
        async for conversation in self._pages("/v1/conversations", http.Conversation):
            yield conversation

    async def conversation(self, conversation_id: str) -> http.Conversation:
        """Return one conversation."""
        return await self._call("GET", f"/v1/conversations/{_part(conversation_id)}", http.Conversation)

    async def set_flags(self, conversation_id: str, changes: http.PatchConversation) -> http.Conversation:
        """Mute, pin or archive a conversation."""
        path = f"/v1/conversations/{_part(conversation_id)}"
        return await self._call("PATCH", path, http.Conversation, changes)

    async def history(
        self, conversation_id: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> frames.Messages:
        """Return a page of history (§6): the newest below ``before``, the oldest above ``after``, or the newest."""
        bounds = {"before": before, "after": after, "limit": limit}
        params = {name: str(value) for name, value in bounds.items() if value is not None}
        path = f"/v1/conversations/{_part(conversation_id)}/messages"
        return await self._call("GET", path, frames.Messages, params=params)

    async def receipts(self, conversation_id: str, sequence_number: int) -> Sequence[frames.MemberWatermark]:
        """Return who received and who read a message."""
        path = f"/v1/conversations/{_part(conversation_id)}/receipts"
        return await self._all(path, frames.MemberWatermark, {"sequenceNumber": str(sequence_number)})

    async def send_message(self, message: frames.Send) -> frames.Ack:
        """Send a message without a socket; the same ``client_message_id`` again is the same message."""
        return await self._call("POST", "/v1/messages", frames.Ack, message)

    async def send_text(self, to: str, text: str, *, client_message_id: str) -> frames.Ack:
        """Send a text to a user or a conversation without a socket; the same id again is the same message."""
        content = msgspec.Raw(msgspec.json.encode(text))
        user, conversation = (to, None) if ":" not in to else (None, to)
        return await self.send_message(frames.Send(client_message_id, "text", content, conversation, user))

    async def delete_message(self, conversation_id: str, sequence_number: int) -> None:
        """Delete a message for everyone: an own one, or any as an admin of the group."""
        await self._do("DELETE", f"/v1/conversations/{_part(conversation_id)}/messages/{sequence_number}")

    # --- groups

    async def create_group(self, name: str, member_ids: Sequence[str] = ()) -> http.Group:
        """Found a group."""
        return await self._call("POST", "/v1/groups", http.Group, http.CreateGroup(name, tuple(member_ids)))

    async def group(self, conversation_id: str) -> http.Group:
        """Return a group with its members."""
        return await self._call("GET", f"/v1/groups/{_part(conversation_id)}", http.Group)

    async def rename_group(self, conversation_id: str, name: str) -> http.Group:
        """Give a group another name (admins)."""
        return await self._call("PATCH", f"/v1/groups/{_part(conversation_id)}", http.Group, http.PatchGroup(name))

    async def delete_group(self, conversation_id: str) -> None:
        """End a group (owner)."""
        await self._do("DELETE", f"/v1/groups/{_part(conversation_id)}")

    async def add_members(self, conversation_id: str, user_ids: Sequence[str]) -> http.Group:
        """Add members (admins)."""
        path = f"/v1/groups/{_part(conversation_id)}/members"
        return await self._call("POST", path, http.Group, http.AddMembers(tuple(user_ids)))

    async def remove_member(self, conversation_id: str, user_id: str) -> None:
        """Remove a member (admins), or leave (the own id)."""
        await self._do("DELETE", f"/v1/groups/{_part(conversation_id)}/members/{_part(user_id)}")

    async def set_role(self, conversation_id: str, user_id: str, role: Role) -> http.Group:
        """Give a member a role (owner); ``owner`` hands the group over."""
        path = f"/v1/groups/{_part(conversation_id)}/members/{_part(user_id)}/role"
        return await self._call("PUT", path, http.Group, http.SetRole(role))

    async def create_invite(self, conversation_id: str, *, expires_at: int = 0, max_uses: int = 0) -> http.Invite:
        """Make an invitation link's token (admins); the former one is void."""
        path = f"/v1/groups/{_part(conversation_id)}/invite"
        return await self._call("POST", path, http.Invite, http.CreateInvite(expires_at, max_uses))

    async def delete_invites(self, conversation_id: str) -> None:
        """Make all invitations of a group void (admins)."""
        await self._do("DELETE", f"/v1/groups/{_part(conversation_id)}/invite")

    async def join(self, invite_token: str) -> http.Group:
        """Join a group by an invitation."""
        return await self._call("POST", "/v1/join", http.Group, http.Join(invite_token))

    # --- how

    def blob(
        self, method: str, url: str, headers: Mapping[str, str], body: AsyncIterable[bytes] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Make a request to the store; there is no limit but 60 s without an answer or more of it.

        ``url``: absolute, or a path on this server. Raises aiohttp's errors, OSError and TimeoutError.
        """
        if self._http is None:
            raise RuntimeError("use `async with Api(…)`")
        return self._http.request(
            method,
            URL(self.url + url if url.startswith("/") else url, encoded=True),
            data=body,
            headers={"Accept-Encoding": "identity", **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_S, sock_read=2 * REQUEST_S),
        )

    async def _call(
        self,
        method: str,
        path: str,
        answer_type: type[T],
        body: msgspec.Struct | None = None,
        params: dict[str, str] | None = None,
    ) -> T:
        content = await self._request(method, path, body, params)
        try:
            return msgspec.json.decode(content, type=answer_type)
        except msgspec.DecodeError as problem:
            raise ConnectionFailed(
                f"{self.url} does not answer as a chat server does ({problem}); check the URL"
            ) from None

    async def _do(self, method: str, path: str, body: msgspec.Struct | None = None) -> None:
        await self._request(method, path, body, None)

    async def _request(
        self, method: str, path: str, body: msgspec.Struct | None, params: dict[str, str] | None
    ) -> bytes:
        async with self._answer(method, path, body, params) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: msgspec.Struct | None = None, params: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and give the answer when it is none of the refusals, which are raised."""
        try:
            async with self._open(method, path, body, params) as answer:
                if answer.status >= 400:
                    raise refusal(answer.status, await answer.read())
                yield answer
        except TimeoutError:
            raise ConnectionFailed(f"{self.url} did not answer in time; try again") from None
        except (aiohttp.ClientError, OSError) as problem:
            reason = reason_of(problem)
            raise ConnectionFailed(f"{self.url} cannot be reached ({reason.cause}); {reason.advice}") from None

    def _open(
        self, method: str, path: str, body: msgspec.Struct | None, params: dict[str, str] | None
    ) -> aiohttp.client._RequestContextManager:
        if self._http is None:
            raise RuntimeError("use `async with Api(…)`")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        url = URL(self.url + path, encoded=True)
        return self._http.request(
            method,
            url.update_query(params) if params else url,
            data=data,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
        )

    async def _pages(self, path: str, item_type: type[T], query: dict[str, str] | None = None) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            params = {"limit": "100"} | (query or {}) | ({"cursor": cursor} if cursor else {})
            page: http.Page[Any] = await self._call("GET", path, http.Page[item_type], params=params)  # type: ignore[valid-type]
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _all(self, path: str, item_type: type[T], query: dict[str, str] | None = None) -> Sequence[T]:
        return [item async for item in self._pages(path, item_type, query)]


def new_http_session(ca_file: str | Path | None = None) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, and trusts the authority in ``ca_file`` beside the system's.

    Raises:
        ConnectionFailed: the file cannot be used.
    """
    connector = aiohttp.TCPConnector(ssl=trusted(ca_file))
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _part(text: str) -> str:
    return quote(text, safe="")


def refusal(status: int, content: bytes) -> ServerError:
    """Return the error of an answer that is none."""
    try:
        error = msgspec.json.decode(content, type=http.ErrorBody).error
    except msgspec.DecodeError:
        retryable = status >= 500 or status == 429
        return ServerError(
            "unavailable" if retryable else "bad_frame",
            f"status {status}, and nothing that a chat server says; check the URL",
            retryable=retryable,
            status=status,
        )
    if status == 401:
        return NotLoggedIn(error.message)
    return ServerError(
        error.code, error.message, retryable=error.retryable, retry_after_ms=error.retry_after_ms, status=status
    )
