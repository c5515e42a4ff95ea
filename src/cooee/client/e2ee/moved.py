"""After a backup was restored: what others may have seen of this device's future is begun anew."""

from cooee.client.e2ee import stock
from cooee.client.e2ee.kinds import DeviceState, Wish
from cooee.client.e2ee.step import Step
from cooee.crypto.keys import IdentityPrivateKey


def restored(step: Step) -> None:
    """Begin sessions and sender chains anew, and replace the pre-keys: the former ones were used since the backup."""
    for ident in step.ids("session"):
        record = step.find("session", ident)
        if record.can_encrypt():
            step.put("session", ident, record.retired())
    _drop(step, "chain", "holders", "out")
    if step.has_device:
        stock.replace_all(step)


def is_due(step: Step) -> bool:
    """Tell whether the records are those of another device of the account: a backup was restored at a new log-in."""
    return step.device.device_id not in {"", step.me.device_id}


def move(step: Step) -> None:
    """Become a device of one's own: a new identity, which the account key, if it is here, signs into the own list."""
    former = step.device
    _drop(step, "session", "chain", "holders", "out", "todo", "held", "prekey", "kem", "tag", "archive")
    identity = bytes(IdentityPrivateKey.generate(step.random))
    wish = Wish("add", step.me.device_id, bytes(IdentityPrivateKey(identity).public()), since=step.now)
    fresh = DeviceState(
        identity,
        former.account,
        next_id=former.next_id,
        next_kem_id=former.next_kem_id,
        wishes=(wish,) if former.account else (),
        device_id=step.me.device_id,
    )
    step.put("device", "", fresh)
    stock.renew_signed(step)
    step.after(lambda: setattr(step.memory, "status_due", True))


def _drop(step: Step, *kinds: str) -> None:
    for kind in kinds:
        for ident in step.ids(kind):
            step.drop(kind, ident)
