"""One thing looked at closely: a message with its receipts, a person, a group with its administration."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cooee.cli.errors import explained
from cooee.cli.tui.book import Book
from cooee.cli.tui.dialogs import Dialog
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.session import Session
from cooee.cli.tui.text import clean, last_seen, long_time, one_line, several
from cooee.client import CooeeClientError
from cooee.domain.conversation import Role
from cooee.protocol import frames, http

_WORDS = {
    "pending": "Waits to be sent",
    "sent": "Sent: it is safe on the server",
    "delivered": "Delivered",
    "read": "Read",
    "failed": "Not sent",
}


class MessageDetails(Dialog[None]):
    """The whole text of a message, and in words how far it got."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,i,q", "close", "Close", show=False)]
    TITLE_TEXT = "Message"

    def __init__(self, session: Session, bubble: Bubble) -> None:
        super().__init__()
        self._session = session
        self._chat = session.chat
        self._bubble = bubble

    def body(self) -> ComposeResult:
        """Give the text, and below it the state."""
        with VerticalScroll():
            yield Static(Text(clean("\n".join(filter(None, (self._bubble.file, self._bubble.content))))), id="whole")
        yield Static(Text(self._state(())), classes="hint", id="state")

    def on_mount(self) -> None:
        """Ask who received and read it."""
        if self._bubble.own and self._bubble.number:
            self._ask()

    @work
    async def _ask(self) -> None:
        try:
            receipts = await self._session.client.api.receipts(self._chat, self._bubble.number)
        except CooeeClientError:
            return  # the state says what is known here
        self.query_one("#state", Static).update(Text(self._state(receipts)))

    def _state(self, receipts: Sequence[frames.MemberWatermark]) -> str:
        bubble, me = self._bubble, self._session.book.me
        when = long_time(bubble.timestamp, datetime.now().astimezone())
        lines = [f"{'You' if bubble.own else one_line(bubble.sender)}, {when}"]
        if bubble.status:
            lines.append(_WORDS[bubble.status] + (f": {one_line(bubble.reason, 300)}" if bubble.reason else ""))
        others = [mark for mark in receipts if mark.user_id != me]
        read = [mark.user_id for mark in others if mark.read >= bubble.number]
        received = [mark.user_id for mark in others if mark.delivered >= bubble.number and mark.user_id not in read]
        waiting = [mark.user_id for mark in others if mark.delivered < bubble.number]
        for words, people in (("Read by", read), ("Received by", received), ("Not yet received by", waiting)):
            if people:
                lines.append(f"{words} {', '.join(people[:20])}{' and others' if len(people) > 20 else ''}")
        return "\n".join(lines)


def person_text(book: Book, conversation_id: str, user: http.User | None, now: datetime) -> str:
    """Return what is known of the other one of a direct chat."""
    peer = book.peer(conversation_id)
    lines = [f"@{peer}, a bot" if user is not None and user.bot else f"@{peer}"]
    if user is not None and user.about:
        lines.append(one_line(user.about, 500))
    presence = book.presence.get(peer)
    if book.online(conversation_id):
        lines.append("online")
    elif presence is not None and presence.last_seen:
        lines.append(last_seen(presence.last_seen, now))
    else:
        lines.append("when they are there is not told to you, or not known yet")
    return "\n".join(lines)


class PersonDetails(Dialog[str]):
    """A person: gives ``contact``, ``uncontact``, ``block``, ``unblock``, ``compare``, ``timer`` or ``mode``."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._chat = session.chat
        self.TITLE_TEXT = session.book.name(session.chat)

    def body(self) -> ComposeResult:
        """Give what is known, and what can be done."""
        text = person_text(self._session.book, self._chat, None, datetime.now().astimezone())
        yield Static(Text(text), id="about")
        yield OptionList(id="actions", compact=True)
        yield Static("Enter: do it · Esc: close", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Ask the server for the rest."""
        self._ask()

    @work
    async def _ask(self) -> None:
        api, peer = self._session.client.api, self._session.book.peer(self._chat)
        try:
            user = await api.user(peer)
            contacts = {one.user_id for one in await api.contacts()}
            blocks = {one.user_id for one in await api.blocks()}
        except CooeeClientError as problem:
            self.query_one("#about", Static).update(Text(explained(problem).message))
            return
        now = datetime.now().astimezone()
        self.query_one("#about", Static).update(Text(person_text(self._session.book, self._chat, user, now)))
        if peer == self._session.book.me:
            return
        known, blocked = peer in contacts, peer in blocks
        self.query_one("#actions", OptionList).set_options(
            [
                Option("Remove from your contacts", id="uncontact")
                if known
                else Option("Add to your contacts (they see when you are there)", id="contact"),
                Option("Lift the block", id="unblock")
                if blocked
                else Option("Block: no messages either way", id="block"),
                *encryption_options(self._session, self._chat, bot=user.bot),
            ]
        )
        self.query_one("#actions", OptionList).highlighted = 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.answer(event.option_id)


class GroupDetails(Dialog[str]):
    """A group: gives ``member:USER``, ``add``, ``invite``, ``revoke``, ``rename``, ``leave``, ``timer``…."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._chat = session.chat
        self.TITLE_TEXT = session.book.name(session.chat)

    def body(self) -> ComposeResult:
        """Give the list; it is filled when the server answered."""
        yield Static("Asking the server…", id="about", markup=False)
        yield OptionList(id="actions", compact=True)
        yield Static("Enter: choose · Esc: close", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Ask the server for the members."""
        self._ask()

    @work
    async def _ask(self) -> None:
        about = self.query_one("#about", Static)
        try:
            group = await self._session.client.api.group(self._chat)
        except CooeeClientError as problem:
            about.update(Text(explained(problem).message))
            return
        me = self._session.book.me
        about.update(Text(f"{several(len(group.members), 'member')}; you are {article(role_in(group, me))}"))
        actions = self.query_one("#actions", OptionList)
        members = [Option(Text(text), id=key) for key, text in member_rows(group, me)]
        shared = encryption_options(self._session, self._chat, admin=role_in(group, me) != Role.MEMBER)
        choices = [Option(Text(text), id=key) for key, text in group_choices(group, me)]
        actions.set_options([*choices, *shared, None, *members])
        actions.highlighted = 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.answer(event.option_id)


def encryption_options(session: Session, chat: str, *, bot: bool = False, admin: bool = True) -> list[Option]:
    """Return what can be done about the encryption of a chat; ``bot``: the other one reads nothing encrypted."""
    if not session.book.encrypts:
        return []
    view, options = session.book.view(chat), []
    if view.kind == "direct" and not bot:
        options.append(Option("Compare the safety number", id="compare"))
    if not view.plain:
        options.append(Option("Let messages disappear", id="timer"))
    if admin:
        options.append(Option("Encrypt end to end again" if view.plain else "Write in the clear", id="mode"))
    return options


def role_in(group: http.Group, user: str) -> Role:
    """Return somebody's role."""
    return next((member.role for member in group.members if member.user_id == user), Role.MEMBER)


def article(role: Role) -> str:
    """Return a role in a sentence."""
    return {Role.OWNER: "its owner", Role.ADMIN: "an admin"}.get(role, "a member")


def group_choices(group: http.Group, me: str) -> list[tuple[str, str]]:
    """Return what ``me`` may do with a group."""
    role = role_in(group, me)
    leaving = ("delete", "Delete the group for all") if role == Role.OWNER else ("leave", "Leave the group")
    if role == Role.MEMBER:
        return [leaving]
    return [
        ("add", "Add members"),
        ("invite", "Make an invitation (voids the former one)"),
        ("revoke", "Void the invitation"),
        ("rename", "Rename"),
        leaving,
    ]


def member_rows(group: http.Group, me: str) -> list[tuple[str, str]]:
    """Return the members of a group, those with a role first."""
    order = {Role.OWNER: 0, Role.ADMIN: 1}
    rows = []
    for member in sorted(group.members, key=lambda one: (order.get(one.role, 2), one.user_id)):
        marks = [] if member.role == Role.MEMBER else [member.role.value]
        marks += ["you"] if member.user_id == me else []
        rows.append(
            (f"member:{member.user_id}", one_line(member.user_id) + (f"  ({', '.join(marks)})" if marks else ""))
        )
    return rows


def member_choices(role: Role, other: Role, name: str) -> list[tuple[str, str]]:
    """Return what somebody with ``role`` may do with a member that has the role ``other``."""
    choices = [("chat", f"Write to {name}")]
    if role == Role.OWNER:
        choices.append(("member", "Make a plain member") if other == Role.ADMIN else ("admin", "Make an admin"))
        choices.append(("owner", "Hand the group over"))
    if role == Role.OWNER or (role == Role.ADMIN and other == Role.MEMBER):
        choices.append(("remove", f"Remove {name}"))
    return choices
