"""Small windows above the chat: ask, choose, help. Esc closes each; it gives None then."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

T = TypeVar("T")


class Dialog(ModalScreen[T | None], Generic[T]):
    """A window with a title. Esc, or a click beside it, closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]
    TITLE_TEXT = ""

    def compose(self) -> ComposeResult:
        """Make the frame, and what `body` gives in it."""
        with Vertical(classes="dialog"):
            yield Static(Text(self.TITLE_TEXT, no_wrap=True, overflow="ellipsis"), classes="title", id="title")
            yield from self.body()

    def body(self) -> ComposeResult:
        """Give the window's content."""
        yield from ()

    def say_title(self, text: str) -> None:
        """Change the title."""
        self.query_one("#title", Static).update(Text(text, no_wrap=True, overflow="ellipsis"))

    def answer(self, given: T | None) -> None:
        """Close with an answer. The closing itself is not waited for: a screen cannot wait for its own end."""
        _ = self.dismiss(given)

    def action_close(self) -> None:
        """Close without an answer."""
        self.answer(None)

    def on_click(self, event: Click) -> None:
        """Close by a click beside the window."""
        if event.widget is self:
            self.answer(None)


class Ask(Dialog[str]):
    """One line of text."""

    def __init__(self, title: str, placeholder: str, value: str = "") -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self._placeholder = placeholder
        self._value = value

    def body(self) -> ComposeResult:
        """Give the input."""
        yield Input(self._value, placeholder=self._placeholder, select_on_focus=False)
        yield Static("Enter: go on · Esc: cancel", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer."""
        if event.value.strip():
            self.answer(event.value.strip())


class Choose(Dialog[str]):
    """One of some things: pairs of what is given and what is shown."""

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self._choices = choices

    def body(self) -> ComposeResult:
        """Give the list."""
        yield OptionList(*(Option(Text(text, no_wrap=True), id=key) for key, text in self._choices), compact=True)
        yield Static("Enter: choose · Esc: cancel", classes="hint", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.answer(event.option_id)


HELP = (
    (
        "Anywhere",
        (
            ("F1 or ?", "this help"),
            ("Ctrl-K", "jump to a chat, or begin one"),
            ("Ctrl-N", "new chat or group, join by an invitation"),
            ("Ctrl-F", "search what is on this machine"),
            ("Ctrl-T", "send a file"),
            ("Ctrl-O", "details: person, safety number; group, roles"),
            ("Ctrl-L", "link this device, or another one"),
            ("Alt-↑ Alt-↓", "the chat before, the chat after"),
            ("F6 or Tab", "list, messages, writing"),
            ("F2", "light or dark"),
            ("Esc", "close the innermost thing"),
            ("Ctrl-Q", "quit; what was written is kept"),
        ),
    ),
    (
        "In the list",
        (
            ("↑ ↓ Enter", "choose and open"),
            ("P  M  A", "pin, mute, archive"),
            ("R", "mark as read"),
            ("Z", "show the archive, or the list again"),
        ),
    ),
    (
        "In the messages",
        (
            ("↑ ↓", "select (↑ in an empty line goes here)"),
            ("R  A", "reply, react by an emoji"),
            ("E", "edit your own"),
            ("Enter  O", "open its file"),
            ("Enter  I", "the whole message, and who has read it"),
            ("C", "copy"),
            ("D", "delete for everyone"),
            ("S  X", "send a failed message again, discard it"),
            ("End", "to the newest"),
        ),
    ),
    (
        "Writing",
        (
            ("Enter", "send"),
            ("Alt-Enter Ctrl-J", "a new line"),
            ("@name", "mention a member of a group"),
            ("/file PATH", "send a file; a caption in the next line"),
        ),
    ),
    (
        "Signs",
        (
            ("·", "waits to be sent"),
            ("✓", "sent: safe on the server"),
            ("✓✓", "on a device of the other; in groups, of all"),
            ("blue ✓✓", "read; in groups, by all"),
            ("✗", "not sent; the reason stands below"),
            ("●", "is there now"),
            ("◆  ⊘", "pinned, muted"),
        ),
    ),
)


class Help(Dialog[None]):
    """All keys and signs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark,q,enter", "close", "Close", show=False),
    ]
    TITLE_TEXT = "Keys and signs"

    def __init__(self, palette_inks: tuple[str, str]) -> None:
        super().__init__()
        self._key_ink, self._read_ink = palette_inks

    def body(self) -> ComposeResult:
        """Give the table."""
        text = Text()
        for number, (part, rows) in enumerate(HELP):
            text.append(("\n" if number else "") + part + "\n", style="bold")
            for key, does in rows:
                ink = self._read_ink if key.startswith("blue") else self._key_ink
                text.append(f"  {key.removeprefix('blue '):<18}", style=ink)
                text.append(f"{does}\n")
        text.rstrip()
        with VerticalScroll():
            yield Static(text)
        yield Static("Esc: close", classes="hint", markup=False)
