"""Whether an encrypted message may be taken: it is for all current devices, and for no other (PROTOCOL.md §15)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef, is_direct
from cooee.ports.device_keys import CurrentDevices
from cooee.protocol.frames import Send
from cooee.services.conversations import ConversationView, ConversationViews, check_takes_part
from cooee.services.device_lists import DeviceLists, current_of, hash_of
from cooee.services.media_checks import MediaChecks

MAX_NAMED = 100
"""Devices that one refusal names of each kind."""


class EncryptedParts(NamedTuple):
    """What `EncryptedChecks` asks."""

    views: ConversationViews
    lists: DeviceLists
    media: MediaChecks


class EncryptedChecks:
    """Judges messages of contentType encrypted. What is inside them nobody here can read."""

    def __init__(self, parts: EncryptedParts) -> None:
        self._views, self._lists, self._media = parts
        self.refused: Counter[str] = Counter()
        """Encrypted messages that were refused here, by code."""

    def passes(self, sender: DeviceRef, frame: Send, conversation_id: str) -> bool:
        """Tell whether what is remembered is enough to take the message at once; False: `check` must look."""
        if frame.media_keys:
            return False
        view = self._views.peek(conversation_id)
        if view is None or _is_closed(sender, view):
            return False
        return _refusal(sender, frame, view, self._lists) is None

    async def check(self, sender: DeviceRef, frame: Send, conversation_id: str) -> None:
        """Return when the message may be taken, as far as devices and files go; who may write here is not its affair.

        Raises:
            CooeeError: ``forbidden``, the sending device is in no list, or somebody wants no previews;
                ``mismatched_devices``; what `MediaChecks` raises; what there is to say of the conversation.
        """
        check_takes_part(conversation_id, sender.user_id)
        view = await self._views.load(conversation_id)
        if _is_closed(sender, view):
            return
        await self._lists.load(view.user_ids)
        refusal = _refusal(sender, frame, view, self._lists)
        if refusal is _UNKNOWN:  # changed at this moment
            found = await self._lists.load(view.user_ids)
            refusal = _judge(sender, frame, view, found, hash_of(found))
        if refusal is not None:
            self.refused[refusal.code.value] += 1
            raise refusal
        for key in frame.media_keys:
            await self._media.check_encrypted(sender.user_id, key)


_UNKNOWN = CooeeError(ErrorCode.UNAVAILABLE, "the devices are not known yet")


def _is_closed(sender: DeviceRef, view: ConversationView) -> bool:
    """Tell whether the message is refused for what the conversation is, whoever has which devices."""
    return sender.user_id not in view.members or view.blocked or view.gone


def _refusal(sender: DeviceRef, frame: Send, view: ConversationView, lists: DeviceLists) -> CooeeError | None:
    direct = is_direct(view.conversation_id)
    told = "" if direct else lists.peek_hash(view)
    found = lists.peek(view.user_ids if direct else (sender.user_id,))
    if found is None or told is None:
        return _UNKNOWN
    return _judge(sender, frame, view, found, told)


def _judge(
    sender: DeviceRef, frame: Send, view: ConversationView, found: Mapping[str, CurrentDevices | None], told: str
) -> CooeeError | None:
    if sender.device_id not in current_of(found, sender.user_id):
        return CooeeError(
            ErrorCode.FORBIDDEN, "this device is not in your signed device list with its keys; link it first"
        )
    if frame.notification_preview and not view.previewed.issuperset(set(view.user_ids) - {sender.user_id}):
        return CooeeError(
            ErrorCode.FORBIDDEN, "somebody here wants no previews of encrypted messages; send it without one"
        )
    if not is_direct(view.conversation_id):
        if (frame.roster_version, frame.device_list_hash) == (view.roster_version, told):
            return None
        return _mismatched({"roster_version": view.roster_version, "device_list_hash": told})
    wanted = {DeviceRef(user_id, name) for user_id in view.user_ids for name in current_of(found, user_id)} - {sender}
    given = {DeviceRef(envelope.user_id, envelope.device_id) for envelope in frame.envelopes}
    if wanted == given:
        return None
    return _mismatched({"missing": _named(wanted - given), "extra": _named(given - wanted)})


def _mismatched(extra: dict[str, Any]) -> CooeeError:
    message = "the message is not for the devices that there are now; nothing was stored"
    return CooeeError(ErrorCode.MISMATCHED_DEVICES, message, extra=extra)


def _named(devices: Iterable[DeviceRef]) -> tuple[dict[str, str], ...]:
    return tuple({"userId": ref.user_id, "deviceId": ref.device_id} for ref in sorted(devices)[:MAX_NAMED])
