"""What a person has to know of end-to-end encryption, in words, and what to do about it. Pure."""

from cooee.cli.render import safe
from cooee.client import DeviceLinked, DeviceUnlinked, EncryptionProblem, KeyChanged, LinkNeeded

HOW_TO_LINK = (
    "This device is not linked to your account: it cannot read or write encrypted messages yet. Run "
    "`cooee devices link` here, and give the code that it shows to an older device (`cooee devices link CODE` there); "
    "if there is none left: cooee devices start-anew"
)


def waiting_text(messages: int, *, unlinked: bool) -> str:
    """Return that messages wait to be read and what helps; empty: none does, and the device is linked."""
    count = f"{messages:,} message{'s wait' if messages != 1 else ' waits'}"
    if unlinked:
        return f"{count} to be read here. {HOW_TO_LINK}." if messages else f"{HOW_TO_LINK}."
    if not messages:
        return ""
    return f"{count} for keys; they come by themselves when their senders' devices are online."


def key_changed_text(user_id: str, *, verified: bool) -> str:
    """Return what to do about somebody's new key; ``verified``: the former one was compared."""
    who = safe(user_id)
    do = f"Compare the digits: cooee verify {who}; then: cooee verify {who} --accept"
    if verified:
        return f"{who}'s key has changed since you compared it; nothing is sent to {who} until you accept it. {do}"
    return f"{who}'s key has changed: {who} began anew, or somebody stands between you. {do}"


def key_changed_here(user_id: str, verified: bool) -> str:
    """Return what stands in a chat when the other's key has changed, in the full-screen client."""
    who = safe(user_id)
    why = f"{who} began anew, or somebody stands between you"
    if verified:
        return f"{who}'s key has changed ({why}). Nothing is sent until you compare it again or accept it: Ctrl-O"
    return f"{who}'s key has changed ({why}). Compare it: Ctrl-O"


def failed_text(code: str, reason: str) -> str:
    """Return why a message was not sent, and what to do in the full-screen client; ``reason`` where that is all."""
    return {
        "key_changed": "the key has changed since you compared it: Ctrl-O, compare it again, then S sends it again",
        "not_encrypted": "a bot reads nothing encrypted: Ctrl-O, write in the clear, then S sends it again",
        "not_linked": "this device is not linked: Ctrl-L links it, then S sends it again",
    }.get(code, reason)


def trouble_text(event: KeyChanged | LinkNeeded | DeviceLinked | DeviceUnlinked | EncryptionProblem) -> str:
    """Return what ``event`` means, and what to do."""
    match event:
        case KeyChanged():
            return key_changed_text(event.user_id, verified=event.verified)
        case LinkNeeded():
            return HOW_TO_LINK
        case DeviceLinked():
            return f"The device {safe(event.device_id)} is linked to your account now; `cooee devices` lists yours."
        case DeviceUnlinked():
            return f"The device {safe(event.device_id)} is not linked to your account any more."
    return f"Encryption: {safe(event.text)}."
