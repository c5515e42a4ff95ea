"""A server that speaks HTTP/2 over TLS and nothing else, on ``h2``; a test decides what a request meets."""

import asyncio
import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.fakes.push_platform import Request, Response, Trouble

Respond = Callable[[Request], Response | Trouble]


class _Connection:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter, respond: Respond) -> None:
        self._writer = writer
        self._respond = respond
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Answer until the client leaves, or the connection is to break."""
        self._h2.initiate_connection()
        self._flush()
        while data := await reader.read(65_536):
            for event in self._h2.receive_data(data):
                if not self._take(event):
                    return
            self._flush()

    def goaway(self, last: int | None = None) -> None:
        """Say that streams above ``last`` were not looked at, and no other will be."""
        self._h2.close_connection(last_stream_id=last)
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    def _take(self, event: h2.events.Event) -> bool:
        if isinstance(event, h2.events.RequestReceived):
            self._heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            self._bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            return self._answer(event.stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            return False
        return True

    def _answer(self, stream: int) -> bool:
        head, body = self._heads.pop(stream), self._bodies.pop(stream)
        answer = self._respond(Request(head[":method"], head[":path"], head, body))
        if isinstance(answer, Response):
            self._h2.send_headers(
                stream, [(":status", str(answer.status)), *answer.headers.items()], end_stream=not answer.body
            )
            if answer.body:
                self._h2.send_data(stream, answer.body, end_stream=True)
        elif answer is Trouble.RESET:
            self._writer.transport.abort()
            return False
        elif answer is Trouble.GOAWAY:
            self.goaway(max(0, stream - 2))
            return False
        return True


class Http2Server:
    """Listens on a port of this machine. ``connections``: how many came so far."""

    def __init__(self, tls: ssl.SSLContext, respond: Respond) -> None:
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[_Connection] = set()
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end every connection. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    def goaway(self) -> None:
        """Tell every client that its connection takes no more requests, and leave it open: what is idle is told so."""
        for connection in self._open:
            connection.goaway()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(writer, self._respond)
        self._open.add(connection)
        try:
            if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                await connection.run(reader)
        except (OSError, h2.exceptions.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(connection)
            writer.close()
