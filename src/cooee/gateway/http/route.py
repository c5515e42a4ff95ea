"""One row of the route table, and what its function is given."""

import re
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import Scope
from cooee.ports.devices import Device

Services = TypeVar("Services")
PATH_PARAMETER = re.compile(r"{([A-Za-z]+)}")


class Auth(Enum):
    """Who may use a route."""

    NOBODY = "nobody"
    """Anyone: the request carries no proof, and none is looked at."""
    DEVICE = "device"
    """A logged-in device, by its bearer token."""
    LOOPBACK = "loopback"
    """A program on this machine that came through no proxy; for anyone else the route is not there."""
    OPERATOR = "operator"
    """Whoever may open the administrative socket: the file's mode is the proof."""


class Answer(NamedTuple):
    """An answer with another status than the route's."""

    body: msgspec.Struct
    status: int


class Call(msgspec.Struct, Generic[Services], frozen=True):
    """One request, checked: its body and query have the route's structs, and the device is who it says it is."""

    services: Services
    body: Any = None
    query: Any = None
    path: Mapping[str, str] = {}
    address: str = ""
    accept: str = ""
    token: str = ""
    device: Device | None = None

    @property
    def session(self) -> Device:
        """The device that asks; only on routes of `Auth.DEVICE`."""
        if self.device is None:
            raise LookupError("this route has no caller")
        return self.device

    @property
    def caller(self) -> DeviceRef:
        """The name of the device that asks; only on routes of `Auth.DEVICE`."""
        return self.session.ref


class RawBody(NamedTuple):
    """A body that the route's function reads itself, with the request's headers."""

    payload: bytes
    headers: Mapping[str, str]


Endpoint = Callable[[Call[Any]], Awaitable[Any]]
"""Returns the answer's struct, None for no content, an `Answer`, or a response of the framework."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What the server offers at a path: everything that the checks, the documents and the tests must know of it.

    ``limit`` names the field of `Limits` that bounds the route beside the frames limit; ``errors`` are the codes that
    the route adds to those that any route may answer. ``needs`` is what the token must be good for: where a route does
    not say, bots are kept out; ``needs_too`` is what else, as the route would give it to a token that lacks it.
    ``raw``: the function is given a `RawBody`, which ``request`` describes for JSON; ``body_limit`` names the field of
    `Limits` that bounds the body more closely than ``limits.http_body_bytes``.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    tag: str
    status: int = 200
    auth: Auth = Auth.DEVICE
    needs: Scope = Scope.PERSON
    needs_too: tuple[Scope, ...] = ()
    request: Any = None
    raw: bool = False
    body_limit: str = ""
    query: type[msgspec.Struct] | None = None
    response: Any = None
    media_type: str = "application/json"
    limit: str = ""
    errors: tuple[ErrorCode, ...] = ()
    also: Mapping[int, str] = {}
    name: str = ""

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in braces, in order."""
        return tuple(PATH_PARAMETER.findall(self.path))

    @property
    def operation(self) -> str:
        """A unique name: ``name``, or that of its function, in camel case."""
        if self.name:
            return self.name
        head, *rest = getattr(self.endpoint, "__name__", "").split("_")
        return head + "".join(word.capitalize() for word in rest)
