"""Typing indicators: passed on to live sessions, never stored, no promise (PROTOCOL.md §7)."""

from cooee.domain.errors import bad_frame
from cooee.domain.ids import DeviceRef, check_conversation_id
from cooee.ports.router import Routed, RouteKind
from cooee.protocol import codec, frames
from cooee.services.conversations import ConversationViews
from cooee.services.routes import Routes

_STATUSES = frozenset({"started", "stopped"})


class TypingService:
    """Forwards ``typing`` to the other members' online devices."""

    def __init__(self, views: ConversationViews, routes: Routes) -> None:
        self._views = views
        self._routes = routes

    def typing(self, device: DeviceRef, frame: frames.Typing) -> None:
        """Tell the other members. A conversation that is not in memory is loaded; one that is not theirs is silent.

        Raises:
            CooeeError: ``bad_frame``.
        """
        check_conversation_id(frame.conversation_id)
        if frame.status not in _STATUSES:
            raise bad_frame("status must be started or stopped")
        if frame.kind not in (None, "recording", "text"):
            raise bad_frame("kind must be text or recording")
        self._views.use(frame.conversation_id, lambda view: self._forward(device, frame, view))

    def _forward(self, device: DeviceRef, frame: frames.Typing, view: object) -> None:
        members = getattr(view, "members", None)
        if members is None or device.user_id not in members or getattr(view, "blocked", False):
            return
        others = tuple(user for user in members if user != device.user_id)
        if others:
            told = frames.Typing(frame.conversation_id, frame.status, frame.kind, device.user_id)
            self._routes.post(Routed(RouteKind.EVENT, others, codec.encode(told), frame.conversation_id))
