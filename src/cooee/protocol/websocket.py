"""RFC 6455 without I/O: bytes in, frames out, for both roles. No extension is ever negotiated.

`FrameParser` is strict: whatever the RFC forbids ends the stream with a `ProtocolViolation` and its close code. Memory
is bounded by the message limit: a length beyond it is refused when it is announced, before anything is kept.
"""

import base64
import hashlib
from functools import cache
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_FRAGMENTS = 1024
"""Frames of one message, so that empty fragments cannot go on for ever without a message that a budget would count."""
_FINAL_TEXT = 0x80 | TEXT
_MAX_CONTROL = 125
NO_STATUS = 1005
"""Stands for a close frame without a code (RFC 6455 §7.4.1)."""
_TRANSLATE_FROM = 1000
"""Bytes from which a table look-up per lane beats one XOR of big integers."""
_COMMON = 1024
TEXT_HEADS = (
    *(bytes((0x80 | TEXT, length)) for length in range(126)),
    *(bytes((0x80 | TEXT, 126, length >> 8, length & 0xFF)) for length in range(126, _COMMON)),
)
"""Heads of unmasked text frames up to 1023 bytes: most of what a server sends."""


class ProtocolViolation(Exception):
    """The peer broke RFC 6455. ``code`` is the close code that goes with it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Event(NamedTuple):
    """A complete data message (TEXT, BINARY) or a control frame (CLOSE, PING, PONG)."""

    opcode: int
    payload: bytes


class FrameParser:
    """Parses one direction of a connection. Only a partial frame or an unfinished message takes memory.

    ``violation`` is set once the peer broke the protocol; what was complete before is still returned, nothing after.
    """

    __slots__ = ("_bit", "_fragments", "_kind", "_limit", "_message", "_pending", "violation")

    def __init__(self, limit: int, *, masked: bool) -> None:
        """Take messages of at most ``limit`` bytes; ``masked``: whether the peer must mask (it is a client)."""
        self._limit = limit
        self._bit = 0x80 if masked else 0
        self._pending: bytearray | None = None
        self._message: bytearray | None = None
        self._kind = 0
        self._fragments = 0
        self.violation: ProtocolViolation | None = None

    def feed(self, data: memoryview | bytes) -> list[Event]:
        """Return what is complete with ``data``; what is partial is copied, ``data`` itself not kept. Never raises."""
        if self.violation is not None:
            return []
        pending = self._pending
        view: bytes | bytearray
        if pending is None:
            view = bytes(data)  # one copy of a read costs less than slicing a memoryview for each field
        else:
            pending += data
            view = pending
        events: list[Event] = []
        position, end = 0, len(view)
        try:
            if self._message is None:
                position = self._whole_texts(view, 0, end, events)
            while end - position >= 2:
                used = self._frame(view, position, end, events)
                if not used:
                    break
                position = used
                if self._message is None:
                    position = self._whole_texts(view, position, end, events)
        except ProtocolViolation as violation:
            self.violation = violation.with_traceback(None)  # its frames would keep the parser and all that was read
            self._pending = self._message = None
            return events
        if position == end:
            self._pending = None
        else:
            self._keep(view, position)
        return events

    def _keep(self, view: bytes | bytearray, position: int) -> None:
        """Keep what is partial."""
        if self._pending is None:
            self._pending = bytearray(view[position:])
        elif position:
            del self._pending[:position]

    def _whole_texts(self, view: bytes | bytearray, position: int, end: int, events: list[Event]) -> int:
        """Take complete, unfragmented text frames below 64 KiB: all that a usual peer sends. Return where they end.

        Whatever is unusual or wrong is left to `_frame`. No call is made for a short frame: half the time of `_frame`.
        """
        bit, limit = self._bit, self._limit
        number, new = int.from_bytes, tuple.__new__
        while end - position > 2 and view[position] == _FINAL_TEXT:
            length = view[position + 1] ^ bit
            start = position + 2
            if length > _MAX_CONTROL:
                if length != 126 or end - start < 2:
                    break
                length = view[start] << 8 | view[start + 1]
                if length < 126:
                    break
                start += 2
            key = start
            if bit:
                start += 4
            stop = start + length
            if stop > end or length > limit:
                break
            if not bit:
                payload = bytes(view[start:stop])
            elif length < _TRANSLATE_FROM:
                repeated = (view[key:start] * ((length + 3) >> 2))[:length]
                payload = (number(view[start:stop], "little") ^ number(repeated, "little")).to_bytes(length, "little")
            else:
                payload = unmask(view[start:stop], bytes(view[key:start]))
            events.append(new(Event, (TEXT, payload if payload.isascii() else checked_text(payload))))
            position = stop
        return position

    def _frame(self, view: bytes | bytearray, start: int, end: int, events: list[Event]) -> int:
        """Take the frame at ``start``; return where the next begins, or 0 when it is not complete."""
        first, second = view[start], view[start + 1]
        if first & 0x70:
            raise ProtocolViolation(1002, "reserved bits are set, but no extension was negotiated")
        if second & 0x80 != self._bit:
            raise ProtocolViolation(1002, "client frames must be masked" if self._bit else "masked server frame")
        opcode = first & 0x0F
        length = second & 0x7F
        position = start + 2
        if opcode >= CLOSE:
            _check_control(opcode, first, length)
        else:
            self._check_opcode(opcode)
            if length > _MAX_CONTROL:
                position += 2 if length == 126 else 8
                if end < position:
                    return 0
                length = _extended(view[start + 2 : position])
            self._check_size(length)
        stop = position + length + (4 if self._bit else 0)
        if end < stop:
            return 0
        if self._bit:
            payload = unmask(view[position + 4 : stop], bytes(view[position : position + 4]))
        else:
            payload = bytes(view[position:stop])
        if opcode >= CLOSE:
            events.append(Event(opcode, payload))
        else:
            self._data(opcode, payload, final=bool(first & 0x80), events=events)
        return stop

    def _check_opcode(self, opcode: int) -> None:
        if opcode > BINARY:
            raise ProtocolViolation(1002, "unknown opcode")
        if (opcode == CONTINUATION) is (self._message is None):
            raise ProtocolViolation(1002, "a continuation without beginning, or a message inside a message")

    def _check_size(self, length: int) -> None:
        if length + (len(self._message) if self._message is not None else 0) > self._limit:
            raise ProtocolViolation(1009, f"messages have at most {self._limit} bytes")

    def _data(self, opcode: int, payload: bytes, *, final: bool, events: list[Event]) -> None:
        message = self._message
        if message is None:
            if final:
                events.append(Event(opcode, checked_text(payload) if opcode == TEXT else payload))
            else:
                self._message, self._kind, self._fragments = bytearray(payload), opcode, 1
            return
        message += payload
        self._fragments += 1
        if final:
            self._message = None
            whole = bytes(message)
            events.append(Event(self._kind, checked_text(whole) if self._kind == TEXT else whole))
        elif self._fragments >= MAX_FRAGMENTS:
            raise ProtocolViolation(1009, f"messages have at most {MAX_FRAGMENTS} fragments")


def _extended(field: bytes | bytearray) -> int:
    length = int.from_bytes(field, "big")
    if length < (126 if len(field) == 2 else 65_536) or length >> 63:
        raise ProtocolViolation(1002, "the length is not encoded in the shortest way")
    return length


def _check_control(opcode: int, first: int, length: int) -> None:
    if opcode > PONG:
        raise ProtocolViolation(1002, "unknown opcode")
    if not first & 0x80 or length > _MAX_CONTROL:
        raise ProtocolViolation(1002, "control frames are not fragmented and have at most 125 bytes")


def checked_text(payload: bytes) -> bytes:
    """Return ``payload`` if it is UTF-8.

    Raises:
        ProtocolViolation: with 1007.
    """
    if not payload.isascii() and not _is_utf8(payload):
        raise ProtocolViolation(1007, "text frames must be UTF-8")
    return payload


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def unmask(data: memoryview | bytes | bytearray, key: bytes) -> bytes:
    """Return ``data`` XOR the repeated 4-byte ``key``, at C speed without an extension (ADR 0001 has the figures)."""
    size = len(data)
    if size >= _TRANSLATE_FROM:
        out = bytearray(data)
        for offset in range(4):
            out[offset::4] = out[offset::4].translate(_xor_table(key[offset]))
        return bytes(out)
    repeated = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


@cache
def _xor_table(byte: int) -> bytes:
    return bytes(byte ^ each for each in range(256))


def head(opcode: int, length: int, *, masked: bool = False) -> bytes:
    """Return the head of a final frame, without the mask's key."""
    if length < _COMMON and opcode == TEXT and not masked:
        return TEXT_HEADS[length]
    bit = 0x80 if masked else 0
    if length < 126:
        return bytes((0x80 | opcode, bit | length))
    if length < 65_536:
        return bytes((0x80 | opcode, bit | 126)) + length.to_bytes(2, "big")
    return bytes((0x80 | opcode, bit | 127)) + length.to_bytes(8, "big")


def client_frame(opcode: int, payload: bytes, key: bytes) -> bytes:
    """Return a whole masked frame; ``key`` is 4 unpredictable bytes."""
    return head(opcode, len(payload), masked=True) + key + unmask(payload, key)


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload of a close frame; a long reason is cut at a character."""
    return code.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL - 2].decode(errors="ignore").encode()


def parse_close(payload: bytes) -> int:
    """Return the code in a close frame, 1005 when it holds none.

    Raises:
        ProtocolViolation: the code may not be sent, or the reason is not UTF-8.
    """
    if not payload:
        return NO_STATUS
    if len(payload) == 1:
        raise ProtocolViolation(1002, "a close code has two bytes")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in {1004, 1005, 1006}:
        raise ProtocolViolation(1002, "this close code may not be sent")
    checked_text(payload[2:])
    return code


def accept_key(key: str) -> str:
    """Return the value of ``Sec-WebSocket-Accept`` for a client's key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def is_valid_key(key: str) -> bool:
    """Tell whether a client's ``Sec-WebSocket-Key`` is 16 bytes in base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False
