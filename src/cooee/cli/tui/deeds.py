"""What the user does to a chat, a message or a group, with the questions that belong to it."""

import time
from typing import TYPE_CHECKING

from cooee.cli.errors import explained
from cooee.cli.tui import files
from cooee.cli.tui.book import is_muted
from cooee.cli.tui.details import (
    GroupDetails,
    MessageDetails,
    PersonDetails,
    member_choices,
    role_in,
)
from cooee.cli.tui.dialogs import Ask, Choose
from cooee.cli.tui.group_dialogs import MUTE_CHOICES, NEW_CHOICES, NewGroup, user_list
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.secrecy import Secrecy
from cooee.cli.tui.session import Session
from cooee.cli.tui.text import one_line
from cooee.client import SendFailed
from cooee.domain.conversation import Role
from cooee.domain.ids import direct_conversation_id
from cooee.protocol import http

if TYPE_CHECKING:
    from cooee.cli.tui.app import ChatApp


_OF_NUMBERED = frozenset({"reply", "react", "edit", "delete"})


class Deeds:
    """The deeds of one `ChatApp`; each runs beside it and tells when it could not be done."""

    def __init__(self, app: "ChatApp", session: Session) -> None:
        self._app = app
        self._session = session
        self.view: files.View = files.view_with_system
        self.secrecy = Secrecy(app, session)

    # --- conversations

    def flag(self, chat: str, what: str) -> None:
        """Pin, mute, archive or read a conversation, or show the archive."""
        if what == "show_archive":
            self._app.left.archived = not self._app.left.archived
            self._app.change()
        elif chat:
            self._app.run_worker(self._flag(chat, what), group="deed")

    async def _flag(self, chat: str, what: str) -> None:
        client, view = self._session.client, self._session.book.view(chat)
        if what == "read":
            await self._app.attempt(client.mark_read(chat))
        elif what == "pin":
            await self._app.attempt(client.set_flags(chat, pinned=not view.pinned))
        elif what == "archive":
            await self._app.attempt(client.set_flags(chat, archived=not view.archived))
        elif what == "mute":
            await self._mute(chat)

    async def _mute(self, chat: str) -> None:
        now = int(time.time() * 1000)
        until = 0
        if not is_muted(self._session.book.view(chat), now):
            name = self._session.book.name(chat)
            chosen = await self._app.push_screen_wait(Choose(f"Mute {name}", MUTE_CHOICES))
            if chosen is None:
                return
            until = -1 if chosen == "-1" else now + int(chosen) * 1000
        await self._app.attempt(self._session.client.set_flags(chat, muted_until=until))

    # --- messages

    async def message(self, what: str, bubble: Bubble) -> None:
        """Do something with a message of the open chat."""
        session, app = self._session, self._app
        if what == "enter":
            what = "file" if bubble.file else "open"
        if what == "open":
            await app.push_screen(MessageDetails(session, bubble))
        elif what == "copy":
            app.copy_to_clipboard(bubble.content or bubble.file)
            app.tell("Copied.")
        elif what in _OF_NUMBERED and bubble.number:
            self._numbered(what, bubble)
        elif what in ("retry", "discard") and bubble.status == "failed":
            await app.attempt((session.retry if what == "retry" else session.discard)(bubble.client_message_id))
        elif what == "quoted":
            await self._show_quoted(bubble)
        elif what == "file" and bubble.file and bubble.number:
            app.run_worker(app.attempt(self._show_file(bubble)), group="file")

    def _numbered(self, what: str, bubble: Bubble) -> None:
        """Do what can only be done with a message that has its number."""
        app = self._app
        if what == "reply":
            app.right.answer(bubble)
            app.right.composer.focus()
        elif what == "react":
            self.secrecy.react(bubble)
        elif what == "edit":
            self._edit(bubble)
        else:
            app.run_worker(self._delete(bubble), group="deed")

    def _edit(self, bubble: Bubble) -> None:
        """Put an own text into the composer."""
        app = self._app
        if not bubble.own or not (bubble.plain and (bubble.content or bubble.file)):
            app.tell("Only your own messages can be edited.", bad=True)
        elif app.right.written.strip() and not app.right.answering:
            app.tell("Send first what you are writing, or take it away.", bad=True)
        else:
            app.right.edit(bubble)
            app.right.composer.focus()

    async def _delete(self, bubble: Bubble) -> None:
        chat = self._session.chat
        answer = await self._app.push_screen_wait(
            Choose("Delete this message for everyone?", (("no", "Keep it"), ("yes", "Delete it for everyone")))
        )
        if answer == "yes":
            await self._app.attempt(self._session.client.delete_message(chat, bubble.number))

    async def _show_file(self, bubble: Bubble) -> None:
        timeline = self._session.timeline
        message = timeline.at(bubble.number) if timeline is not None else None
        if message is None:
            return
        self._app.tell("Opening it…")
        try:
            await files.show(self._session.client, message, self.view)
        except files.Unviewable as told:
            self._app.tell(str(told))
        except OSError as problem:
            self._app.tell(explained(problem).message, bad=True)

    def attach(self) -> None:
        """Ask for a file and send it to the open chat."""
        self._app.run_worker(self._attach(self._session.chat), group="deed")

    async def _attach(self, chat: str) -> None:
        asked = await self._app.push_screen_wait(files.AskFile())
        if asked is not None:
            self.send_file(chat, *asked)

    def send_file(self, chat: str, path: str, caption: str) -> None:
        """Send a file, beside everything else."""
        self._app.tell(f"Sending {one_line(path)}…")
        self._app.run_worker(self._app.attempt(self._session.send_file(chat, path, caption)), group="file")

    async def _show_quoted(self, bubble: Bubble) -> None:
        timeline = self._session.timeline
        answering = timeline.at(bubble.number) if timeline is not None else None
        if timeline is None or answering is None or answering.reply_to is None:
            return
        quoted = timeline.find(answering.reply_to)
        if quoted is None:
            self._app.tell("The message is further up; Home, or search, leads there.")
        else:
            await self.show(quoted.sequence_number)

    async def show(self, number: int) -> None:
        """Bring a message of the open chat into sight and select it."""
        if await self._session.go_to(number):
            self._app.repaint()
            self._app.right.messages.focus()
            self._app.right.messages.go_to(str(number))

    # --- new chats

    def new(self) -> None:
        """Begin a chat or a group, or join one."""
        self._app.run_worker(self._new(), group="deed")

    async def _new(self) -> None:
        kind = await self._app.push_screen_wait(Choose("New", NEW_CHOICES))
        if kind == "notes":
            me = self._session.book.me
            await self._app.open_chat(direct_conversation_id(me, me))
        elif kind == "chat":
            user = await self._app.push_screen_wait(Ask("Chat with", "a userId, for example bob"))
            await self._chat_with(user)
        elif kind == "group":
            wanted = await self._app.push_screen_wait(NewGroup())
            if wanted:
                await self._app.attempt(self._found(*wanted))
        elif kind == "join":
            code = await self._app.push_screen_wait(Ask("Join a group", "the invitation's code"))
            if code:
                await self._app.attempt(self._join(code))

    async def _chat_with(self, user: str | None) -> None:
        if not user:
            return
        try:
            chat = self._session.client.conversation_id(user.removeprefix("@").lower())
        except SendFailed as problem:
            self._app.tell(str(problem), bad=True)
            return
        await self._app.open_chat(chat)

    async def _found(self, name: str, members: tuple[str, ...]) -> None:
        group = await self._session.client.api.create_group(name, members)
        self._say_not_added(group)
        await self._app.open_chat(group.conversation_id)

    async def _join(self, code: str) -> None:
        group = await self._session.client.api.join(code)
        await self._app.open_chat(group.conversation_id)

    def _say_not_added(self, group: http.Group) -> None:
        if group.not_added:
            people = ", ".join(group.not_added)
            self._app.tell(f"{people}: only their contacts may add them. Send them an invitation (Ctrl-O).", bad=True)

    # --- people and groups

    def details(self) -> None:
        """Show the person or the group of the open chat, and do what is chosen there."""
        group = not self._session.book.peer(self._session.chat)
        self._app.run_worker(self._group() if group else self._person(), group="deed")

    async def _person(self) -> None:
        api, peer = self._session.client.api, self._session.book.peer(self._session.chat)
        chosen = await self._app.push_screen_wait(PersonDetails(self._session))
        deeds = {
            "contact": (api.add_contact, f"{peer} is a contact now."),
            "uncontact": (api.remove_contact, f"{peer} is no contact any more."),
            "block": (api.block, f"{peer} is blocked."),
            "unblock": (api.unblock, f"{peer} can write to you again."),
        }
        if chosen == "compare":
            await self._app.attempt(self.secrecy.compare(peer))
        elif chosen in {"mode", "timer"}:
            await self._of_chat(self._session.chat, chosen)
        elif chosen in deeds:
            act, done = deeds[chosen]
            if await self._app.attempt(act(peer)):
                self._app.tell(done)

    async def _group(self) -> None:
        chat = self._session.chat
        chosen = await self._app.push_screen_wait(GroupDetails(self._session)) or ""
        deed, _, user = chosen.partition(":")
        if deed == "member":
            await self._app.attempt(self._member(chat, user))
        elif deed in {"mode", "timer"}:
            await self._of_chat(chat, deed)
        elif deed:
            await self._app.attempt(self._administer(chat, deed))

    async def _of_chat(self, chat: str, deed: str) -> None:
        await self._app.attempt(self.secrecy.switch(chat) if deed == "mode" else self.secrecy.timer(chat))

    async def _administer(self, chat: str, deed: str) -> None:
        api, app, me = self._session.client.api, self._app, self._session.book.me
        if deed == "add":
            users = await app.push_screen_wait(Ask("Add members", "bob, carol"))
            if users:
                self._say_not_added(await api.add_members(chat, user_list(users)))
        elif deed == "rename":
            name = await app.push_screen_wait(Ask("Rename the group", "its name", self._session.book.name(chat)))
            if name:
                await api.rename_group(chat, name)
        elif deed == "invite":
            invite = await api.create_invite(chat)
            app.copy_to_clipboard(invite.token)
            await app.push_screen_wait(
                Choose(f"Invitation: {invite.token}", (("ok", "Copied; whoever has it can join (Ctrl-N there)"),))
            )
        elif deed == "revoke":
            await api.delete_invites(chat)
            app.tell("No invitation is valid any more.")
        elif deed == "leave" and await self._sure("Leave the group?", "Leave"):
            await api.remove_member(chat, me)
        elif deed == "delete" and await self._sure("Delete the group for all?", "Delete it"):
            await api.delete_group(chat)

    async def _member(self, chat: str, user: str) -> None:
        api, me = self._session.client.api, self._session.book.me
        if user == me:
            return
        group = await api.group(chat)
        choices = member_choices(role_in(group, me), role_in(group, user), user)
        chosen = await self._app.push_screen_wait(Choose(user, choices))
        if chosen == "chat":
            await self._app.open_chat(direct_conversation_id(me, user))
        elif chosen == "remove":
            await api.remove_member(chat, user)
        elif chosen == "owner":
            if await self._sure(f"Hand the group over to {user}?", "Hand it over"):
                await api.set_role(chat, user, Role.OWNER)
        elif chosen:
            await api.set_role(chat, user, Role(chosen))

    async def _sure(self, question: str, yes: str) -> bool:
        return await self._app.push_screen_wait(Choose(question, (("no", "No"), ("yes", yes)))) == "yes"
