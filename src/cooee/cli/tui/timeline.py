"""The messages of the open chat: a window on its timeline that grows at both ends and stays bounded. Pure.

Numbered messages, ascending and without holes as far as they exist for this device.
"""

import bisect

import msgspec

from cooee.client import HistoryPage, Message
from cooee.domain.message import CONTENT_DELETED

MOST = 1_000
"""Messages in the window; beyond them the far end is dropped and loaded again when it is looked at."""


class Timeline:
    """The window. ``at_end``: nothing newer is held here than what it shows; ``complete``: nothing older exists.

    ``through``: the number up to which everything is settled, also where numbers do not exist for this device.
    """

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self.messages: list[Message] = []
        self.complete = False
        self.at_end = False
        self.loaded = False
        self.changes = 0
        self.through = 0
        self._early: list[Message] = []

    @property
    def first(self) -> int:
        """The oldest number shown; 0: none."""
        return self.messages[0].sequence_number if self.messages else 0

    @property
    def last(self) -> int:
        """The newest number shown; 0: none."""
        return self.messages[-1].sequence_number if self.messages else 0

    def fetching(self) -> None:
        """Note that another page is coming: what arrives meanwhile is kept for it."""
        self.loaded = False

    def begin(self, page: HistoryPage, through: int, *, at_end: bool) -> None:
        """Show ``page`` alone, which settles the numbers up to ``through``, and what came while it was fetched."""
        early, self._early = self._early, []
        self.messages = list(page.messages)
        self.through = max(through, self.last)
        self.complete = page.complete
        self.at_end = at_end
        self.loaded = True
        for message in early:
            self.add(message)
        self.changes += 1

    def older(self, page: HistoryPage, *, final: bool = False) -> None:
        """Put a page before the window; ``final``: nothing older will come, whatever the page says."""
        before = [message for message in page.messages if not self.messages or message.sequence_number < self.first]
        self.messages[:0] = before
        self.complete = page.complete or final
        if len(self.messages) > MOST:
            del self.messages[MOST:]
            self.at_end = False
            self.through = self.last
        self.changes += 1

    def newer(self, page: HistoryPage, through: int, *, at_end: bool) -> None:
        """Put a page behind the window, which settles the numbers up to ``through``."""
        self.messages += [message for message in page.messages if message.sequence_number > self.last]
        self.through = max(self.through, through, self.last)
        self.at_end = at_end
        self._trim_old()
        self.changes += 1

    def add(self, message: Message) -> None:
        """Take in a message that arrived, or an own one that got its number; one that is there already changes nothing.

        While the window does not reach the end it is left out: it comes with the page it stands on.
        """
        if not self.loaded:
            self._early.append(message)
            return
        number = message.sequence_number
        if number > self.last:
            if not self.at_end:
                return
            self.messages.append(message)
            self.through = max(self.through, number)
            self._trim_old()
        else:
            at = self._place(number)
            if number < self.first or self.messages[at].sequence_number == number:
                return
            self.messages.insert(at, message)
        self.changes += 1

    def update(self, message: Message) -> None:
        """Show what became of a message: readable at last, edited, or reacted to. One that is not here is left out."""
        at = self._place(message.sequence_number)
        if at < len(self.messages) and self.messages[at].sequence_number == message.sequence_number:
            self.messages[at] = message
            self.changes += 1
        else:
            held = [one.sequence_number for one in self._early]
            if message.sequence_number in held:
                self._early[held.index(message.sequence_number)] = message

    def delete(self, sequence_number: int) -> None:
        """Show a message as deleted."""
        at = self._place(sequence_number)
        if at < len(self.messages) and self.messages[at].sequence_number == sequence_number:
            self.messages[at] = msgspec.structs.replace(
                self.messages[at], content_type=CONTENT_DELETED, content=None, reply_to=None
            )
            self.changes += 1

    def find(self, message_id: str) -> Message | None:
        """Return the message with an id, if it is in the window."""
        return next((message for message in self.messages if message.message_id == message_id), None)

    def at(self, sequence_number: int) -> Message | None:
        """Return the message of a number, if it is in the window."""
        at = self._place(sequence_number)
        found = self.messages[at : at + 1]
        return found[0] if found and found[0].sequence_number == sequence_number else None

    def _place(self, number: int) -> int:
        return bisect.bisect_left(self.messages, number, key=lambda message: message.sequence_number)

    def _trim_old(self) -> None:
        if len(self.messages) > MOST:
            del self.messages[: len(self.messages) - MOST]
            self.complete = False
