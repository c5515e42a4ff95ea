"""The way to a new chat, and through the administration of a group: one question after the other."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from cooee.cli.tui.dialogs import Dialog

NEW_CHOICES = (
    ("chat", "Chat with somebody"),
    ("group", "New group"),
    ("join", "Join a group by an invitation"),
    ("notes", "Notes to self"),
)

MUTE_CHOICES = (
    ("28800", "For 8 hours"),
    ("604800", "For a week"),
    ("-1", "Until you unmute it"),
)


class NewGroup(Dialog[tuple[str, tuple[str, ...]]]):
    """Gives the name of a group and its members."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next", show=False, priority=True),
        Binding("up", "app.focus_previous", "Previous", show=False, priority=True),
    ]
    TITLE_TEXT = "New group"

    def body(self) -> ComposeResult:
        """Give two lines to fill."""
        yield Input(placeholder="its name", id="name", max_length=100)
        yield Input(placeholder="members: bob, carol (you are in it anyway)", id="members")
        yield Static("Enter: next, then found it · Esc: cancel", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the members, then answer."""
        name = self.query_one("#name", Input).value.strip()
        if event.input.id == "name" and name:
            self.query_one("#members", Input).focus()
        elif not name:
            self.query_one("#name", Input).focus()
        else:
            self.answer((name, user_list(event.value)))


def user_list(text: str) -> tuple[str, ...]:
    """Return the userIds in a line, in any of the ways people separate them."""
    words = text.replace(",", " ").replace(";", " ").split()
    return tuple(dict.fromkeys(word.removeprefix("@").lower() for word in words))
