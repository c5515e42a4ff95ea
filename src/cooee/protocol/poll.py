"""The bodies of `POST /v1/poll`: the frames of the socket, carried by long polling (PROTOCOL.md §12)."""

import msgspec

from cooee.protocol.frames import Number


class PollRequest(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """One poll. Without ``session`` it opens one: ``request_number`` is 1 and the first frame is `Hello`.

    ``request_number`` grows by one with each request; the same number again asks for the same answer. ``ack`` is the
    highest answer number that the client has processed. ``wait_ms``: how long an answer without frames may wait.
    """

    request_number: Number
    session: str = ""
    ack: Number = 0
    frames: tuple[msgspec.Raw, ...] = ()
    wait_ms: Number = 0


class PollClosed(msgspec.Struct, frozen=True, gc=False):
    """Why the server closed the session, as a WebSocket would say it (§10); nothing follows."""

    code: int
    reason: str = ""


class PollResponse(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """One answer. A client that has processed ``answer_number`` already skips the frames.

    An answer without frames repeats the number of the last one that had some. ``closed`` stands in the last answer of
    a session that the server has closed.
    """

    session: str
    answer_number: int
    frames: tuple[msgspec.Raw, ...]
    closed: PollClosed | None = None
