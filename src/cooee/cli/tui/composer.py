"""Where a message is written: grows to eight lines, Enter sends, what is pasted cannot steer the terminal."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.message import Message as Told
from textual.widgets import TextArea

from cooee.cli.tui.text import clean

_BREAKS = frozenset({"shift+enter", "alt+enter", "ctrl+j", "ctrl+enter"})


class Composer(TextArea):
    """A text area that sends. ``chat`` and ``answered``: where to, and what is answered, at the moment of Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
    ]

    class Sent(Told):
        """A text is to be sent to ``chat``, as an answer to the message with the number ``answered`` (0: to none).

        ``edited``: it takes the place of the text of that number; 0: it is a new one.
        """

        def __init__(self, chat: str, text: str, answered: int, edited: int = 0) -> None:
            super().__init__()
            self.edited = edited
            self.chat = chat
            self.text = text
            self.answered = answered

    class Left(Told):
        """The user goes elsewhere: ``where`` is ``messages`` or ``back``."""

        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

    def __init__(self, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id, soft_wrap=True, show_line_numbers=False, compact=True, highlight_cursor_line=False)
        self.cursor_blink = False
        self.chat = ""
        self.answered = 0
        self.edited = 0

    async def _on_key(self, event: Key) -> None:
        if event.key in _BREAKS:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self._send()
        elif event.key == "up" and not self.text:
            event.stop()
            event.prevent_default()
            self.post_message(self.Left("messages"))
        else:
            await super()._on_key(event)

    def _send(self) -> None:
        """Hand the text on and be empty at once: what is typed next belongs to the next message."""
        if self.chat and self.text.strip():
            self.post_message(self.Sent(self.chat, self.text.strip("\n"), self.answered, self.edited))
            self.text = ""
            self.answered = self.edited = 0

    async def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert(clean(event.text.replace("\r\n", "\n").replace("\r", "\n")))

    def action_leave(self) -> None:
        """Go back."""
        self.post_message(self.Left("back"))
