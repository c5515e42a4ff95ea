"""TLS below a connection: decrypts for the protocol above, and is the transport that it writes to.

One object of our own instead of the event loop's layer, so that both loops behave alike and nothing is hidden from the
server: a handshake counts as a connection and has a time limit, what the kernel has not taken is known to the byte, and
who speaks plain HTTP to an encrypted port gets an answer. All connections read into the shared buffer, twice: once
what comes from the wire, then what was in it; the first is used up before the second begins.
"""

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from cooee.gateway.first_request import MAX_LINGERING, FirstRequest

if TYPE_CHECKING:
    from cooee.gateway.server import FrontServer

_HANDSHAKE = 0x16
"""The first byte of every TLS connection: a handshake record (RFC 8446 §5.1)."""
_PIECE = 16 * 1024
"""What is en- or decrypted at a time. OpenSSL's memory keeps the size of the largest piece as long as it lives."""


class TlsConnection(asyncio.BufferedProtocol):
    """A connection to a port that speaks TLS. Below `FirstRequest` and whatever takes over from that."""

    __slots__ = ("_ended", "_incoming", "_outgoing", "_paused", "_raw", "_server", "_timer", "_tls", "_upper")

    def __init__(self, server: "FrontServer") -> None:
        self._server = server
        self._raw: Any = None
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self._upper: Any = None
        self._paused = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    # --- the loop's protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take the connection, unless there are far too many; `FirstRequest` refuses the rest with a word."""
        server = self._server
        self._raw = transport
        server.connections.add(self)
        if server.room < -MAX_LINGERING:
            transport.abort()
            return
        self._timer = server.shared.loop.call_later(server.settings.limits.hello_timeout_s, self.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections read into."""
        return self._server.shared.view

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt what was read. What comes after our own goodbye is ignored."""
        if self._ended:
            return
        view = self._server.shared.view
        if self._tls is None:
            if view[0] != _HANDSHAKE:
                self._hand_over_plain(nbytes)
                return
            self._begin()
        if nbytes <= _PIECE:
            self._take(view[:nbytes])
            return
        data = bytes(view[:nbytes])  # the buffer is used again before all of it is decrypted
        for start in range(0, nbytes, _PIECE):
            self._take(data[start : start + _PIECE])

    def eof_received(self) -> bool:
        """Tell the protocol above, and let the transport close itself."""
        if self._upper is not None:
            self._upper.eof_received()
        self._say_goodbye()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol above, once."""
        self._ended = True
        self._leave()
        self._tls = self._incoming = self._outgoing = None
        upper, self._upper = self._upper, None
        if upper is not None:
            upper.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the protocol above."""
        if self._upper is not None:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        """Tell the protocol above."""
        if self._upper is not None:
            self._upper.resume_writing()

    # --- a connection without a request -------------------------------------------------------------------------------

    def end(self) -> None:
        """End at once: there is no request yet."""
        self.abort()

    # --- the transport of the protocol above --------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._ended or self._tls is None or self._outgoing is None or self._raw.is_closing():
            return
        if len(data) <= _PIECE:
            if data:
                self._tls.write(data)
            self._raw.write(self._outgoing.read())
            return
        view, pieces = memoryview(data), []
        for start in range(0, len(view), _PIECE):
            self._tls.write(view[start : start + _PIECE])
            pieces.append(self._outgoing.read())
        self._raw.write(b"".join(pieces))

    def close(self) -> None:
        """Say goodbye and close once all is sent; the other end's goodbye is not waited for."""
        self._say_goodbye()
        self._raw.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._ended = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed, or will be once all is sent."""
        return bool(self._raw.is_closing())

    def can_write_eof(self) -> bool:
        """Tell whether one direction can be closed alone: TLS can, by its goodbye."""
        return True

    def write_eof(self) -> None:
        """Send nothing more; the other end may still send, and is ignored."""
        self._say_goodbye()
        if not self._raw.is_closing():
            self._raw.write_eof()

    def pause_reading(self) -> None:
        """Give nothing to the protocol above."""
        self._paused = True
        if not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on, first with what was decrypted already."""
        if not self._paused:
            return
        self._paused = False
        if not self._raw.is_closing():
            self._raw.resume_reading()
            self._server.shared.loop.call_soon(self._read)

    def set_protocol(self, protocol: Any) -> None:
        """Change the protocol above."""
        self._upper = protocol

    def get_protocol(self) -> Any:
        """Return the protocol above."""
        return self._upper

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits of the transport below: nothing waits here."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the limits of the transport below, low and high."""
        low, high = self._raw.get_write_buffer_limits()
        return int(low), int(high)

    def get_write_buffer_size(self) -> int:
        """Return the encrypted bytes that the kernel has not taken yet."""
        return int(self._raw.get_write_buffer_size())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection; ``sslcontext`` tells that it is encrypted."""
        if name == "sslcontext" and self._tls is not None:
            return self._tls.context
        if name == "ssl_object":
            return self._tls if self._tls is not None else default
        return self._raw.get_extra_info(name, default)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin a handshake under the certificate that is in force now."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._server.tls_context().wrap_bio(self._incoming, self._outgoing, server_side=True)

    def _hand_over_plain(self, nbytes: int) -> None:
        """Leave a connection that is not encrypted to the protocols that would have it on a plain port."""
        raw, self._upper = self._raw, None
        self._leave()
        first = FirstRequest(self._server)
        raw.set_protocol(first)
        first.connection_made(raw)
        first.buffer_updated(nbytes)  # they stand in the buffer of us all

    def _take(self, data: memoryview | bytes) -> None:
        if self._incoming is None or self._ended:
            return
        self._incoming.write(data)
        if self._upper is not None or self._shake_hands():
            self._read()

    def _shake_hands(self) -> bool:
        """Go on with the handshake; True when it is done."""
        if self._tls is None:
            return False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, OSError):
            self._flush()  # what is wrong, for the client to read
            self._ended = True
            self._raw.close()
            return False
        self._flush()
        self._leave()
        self._upper = FirstRequest(self._server)
        self._upper.connection_made(self)
        return True

    def _read(self) -> None:
        """Decrypt all that is there, and give each piece to the protocol that is above then."""
        tls, incoming = self._tls, self._incoming
        while tls is not None and incoming is not None and not (self._paused or self._ended):
            upper = self._upper
            buffered = isinstance(upper, asyncio.BufferedProtocol)
            buffer = upper.get_buffer(-1) if buffered else self._server.shared.view
            try:
                count = _read_into(tls, buffer)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLError, OSError):
                self._flush()
                self.abort()
                return
            if not count:
                upper.eof_received()
                self.close()
                return
            if buffered:
                upper.buffer_updated(count)
            else:
                upper.data_received(bytes(buffer[:count]))
            if not incoming.pending and not tls.pending():
                break
        self._flush()

    def _flush(self) -> None:
        outgoing = self._outgoing
        if outgoing is not None and outgoing.pending and not self._raw.is_closing():
            self._raw.write(outgoing.read())

    def _say_goodbye(self) -> None:
        """Send close_notify, once; nothing is encrypted after it."""
        if self._ended:
            return
        self._ended = True
        if self._tls is not None and self._upper is not None:
            with contextlib.suppress(ssl.SSLError, OSError):  # the other end has not answered; we do not wait for it
                self._tls.unwrap()
            self._flush()

    def _leave(self) -> None:
        """Count no more as a connection without a protocol above."""
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _read_into(tls: ssl.SSLObject, buffer: memoryview) -> int:
    """Decrypt into ``buffer``; 0: the other end has said goodbye."""
    return int(tls.read(len(buffer), buffer))
