"""End-to-end encryption in the full-screen client: linking devices, safety numbers, modes, timers, reactions."""

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cooee.app.tls.notice import code_lines
from cooee.cli.errors import CliError, explained
from cooee.cli.linking import BE_LINKED, LINK, LOOK_AT_CODE, Came, LinkWish, Shown, Step
from cooee.cli.render import span_text
from cooee.cli.tui.dialogs import Ask, Choose, Dialog
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.session import Session
from cooee.cli.tui.text import one_line
from cooee.client import CooeeClientError
from cooee.client.encryption import SafetyNumber

if TYPE_CHECKING:
    from cooee.cli.tui.app import ChatApp

EMOJI = ("👍", "❤️", "😂", "😮", "😢", "🙏")
"""What is offered as a reaction; any other can be typed."""
TIMERS = (0, 3_600_000, 86_400_000, 604_800_000, 2_419_200_000)
"""After how many ms messages may disappear, as it is offered."""
_A_LINE = 4


class LinkThis(Dialog[bool]):
    """The code of this device, until another one has linked it. Gives True then."""

    TITLE_TEXT = "Link this device to your account"

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def body(self) -> ComposeResult:
        """Give the code, once there is one."""
        with VerticalScroll():
            yield Static("Asking for a code…", id="code", markup=False)
        yield Static("Esc: not now; nothing is changed by that", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Get a code, and wait."""
        self._link()

    @work
    async def _link(self) -> None:
        try:
            done = await BE_LINKED.run(self._session.client, Step(), self._show)
        except (CooeeClientError, CliError) as problem:
            self._say(explained(problem).message)
            return
        self.app.notify(
            "Linked. The keys of your messages have come." if done.how == "history" else "This device is linked.",
            markup=False,
        )
        self.answer(True)

    def _show(self, told: object) -> None:
        if isinstance(told, Shown):
            text = Text("On a device that is linked: Ctrl-L in `cooee chat`, or in a terminal\n\n")
            text.append(f"cooee devices link {told.code}\n\n", style="bold")
            text.append(f"It shows the fingerprint {in_groups(told.fingerprint)} there. Waiting…\n\n")
            text.append_text(Text.from_ansi("\n".join(code_lines(told.qr))))
            self.query_one("#code", Static).update(text)
        elif isinstance(told, Came):
            self._say(f"Linked. Fetching the keys of your messages: {told.done:,} of {told.total:,} bytes")

    def _say(self, text: str) -> None:
        self.query_one("#code", Static).update(Text(text))


class NumberDialog(Dialog[str]):
    """The safety number with somebody: gives ``yes``, ``no`` or ``accept``."""

    AUTO_FOCUS = "#actions"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "close", "Close", show=False)]

    def __init__(self, user_id: str, number: SafetyNumber) -> None:
        super().__init__()
        self.TITLE_TEXT = f"Safety number with {one_line(user_id)}"
        self._user_id = user_id
        self._number = number

    def body(self) -> ComposeResult:
        """Give the digits, the code, and what can be noted."""
        groups = self._number.grouped().split(" ")
        lines = ["  ".join(groups[at : at + _A_LINE]) for at in range(0, len(groups), _A_LINE)]
        with VerticalScroll():
            text = Text("\n".join(lines) + "\n\n", style="bold")
            text.append_text(Text.from_ansi("\n".join(code_lines(self._number.qr))))
            yield Static(text, id="number")
        yield Static(Text(self._state()), classes="hint")
        yield OptionList(*(Option(Text(words), id=key) for key, words in self._choices()), id="actions", compact=True)
        yield Static("Enter: note it · Esc: close", classes="hint", markup=False)

    def _state(self) -> str:
        who = one_line(self._user_id)
        if self._number.changed:
            return f"{who}'s key has changed. Compare the digits, not in this chat."
        if self._number.verified:
            return f"You compared it with {who}."
        return f"If {who} sees the same digits, nobody stands between you. Compare them, not in this chat."

    def _choices(self) -> list[tuple[str, str]]:
        same = ("yes", "They are the same: note it")
        if self._number.changed:
            return [same, ("accept", "Go on with the new key, not compared")]
        return [("no", "Take that back")] if self._number.verified else [same]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.answer(event.option_id)


class Secrecy:
    """What the user of one `ChatApp` does about encryption."""

    def __init__(self, app: "ChatApp", session: Session) -> None:
        self._app = app
        self._session = session

    def _run(self, deed: "asyncio.Future[None] | object") -> None:
        self._app.run_worker(deed, group="deed")  # type: ignore[arg-type]  # coroutines of this class

    def link(self) -> None:
        """Link this device, or another one from here."""
        self._run(self._link())

    async def _link(self) -> None:
        client = self._session.client
        if not client.encrypts:
            self._app.tell("Encryption is off here.", bad=True)
        elif client.standing != "linked":
            if await self._app.push_screen_wait(LinkThis(self._session)):
                self._app.change()
        else:
            code = await self._app.push_screen_wait(
                Ask("Link another device", "the code that it shows (`cooee devices link`, or Ctrl-L there)")
            )
            if code:
                await self._app.attempt(self._take(code))

    async def _take(self, code: str) -> None:
        client, wish = self._session.client, LinkWish(code)
        seen = await LOOK_AT_CODE.run(client, wish, lambda _: None)
        question = f"Link {one_line(seen.name)} ({one_line(seen.type)}), fingerprint {in_groups(seen.fingerprint)}?"
        choices = (("no", "No"), ("yes", "It is the device before me, with this fingerprint: link it"))
        if await self._app.push_screen_wait(Choose(question, choices)) == "yes":
            self._app.tell("Linking it…")
            await LINK.run(client, wish, lambda _: None)
            self._app.tell(f"{one_line(seen.name)} is linked.")

    async def compare(self, user_id: str) -> None:
        """Show the safety number with somebody, and note what came of it.

        Raises:
            CooeeClientError: there is none, or it cannot be asked for.
        """
        client = self._session.client
        chosen = await self._app.push_screen_wait(NumberDialog(user_id, await client.safety_number(user_id)))
        if chosen == "yes":
            await client.accept_key(user_id)
            await client.set_verified(user_id)
            self._app.tell(f"{user_id} is verified: nothing is sent when the key changes.")
        elif chosen == "accept":
            await client.accept_key(user_id)
            self._app.tell(f"{user_id}'s new key is accepted.")
        elif chosen == "no":
            await client.set_verified(user_id, False)
            self._app.tell(f"{user_id} counts as not compared.")
        if chosen:
            self._session.forget_notices(client.conversation_id(user_id))

    async def switch(self, chat: str) -> None:
        """Write to a chat in the clear, or encrypted again. Raises `CooeeClientError`."""
        client, plain = self._session.client, not self._session.book.view(chat).plain
        question = (
            "Write in the clear from now on? The server, and bots, can read it then; all members see that."
            if plain
            else "Encrypt end to end again?"
        )
        if await self._app.push_screen_wait(Choose(question, (("no", "No"), ("yes", "Yes")))) == "yes":
            await client.set_mode(chat, "plain" if plain else "encrypted")

    async def timer(self, chat: str) -> None:
        """Let messages of a chat disappear. Raises `CooeeClientError`."""
        choices = [(str(ms), f"{span_text(ms)} after they are read" if ms else "They stay") for ms in TIMERS]
        chosen = await self._app.push_screen_wait(Choose("Messages disappear", choices))
        if chosen is not None:
            await self._session.client.set_timer(chat, int(chosen))

    def react(self, bubble: Bubble) -> None:
        """Ask for an emoji, and react by it."""
        self._run(self._react(self._session.chat, bubble))

    async def _react(self, chat: str, bubble: Bubble) -> None:
        choices = [*((emoji, emoji) for emoji in EMOJI), ("other", "another one…"), ("", "take yours back")]
        chosen = await self._app.push_screen_wait(Choose("React", choices))
        if chosen == "other":
            chosen = await self._app.push_screen_wait(Ask("React by", "an emoji"))
        if chosen is not None:
            await self._app.attempt(self._session.client.react(chat, bubble.number, chosen))


def in_groups(digits: str) -> str:
    """Return a fingerprint in groups of four."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
