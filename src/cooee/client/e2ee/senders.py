"""The own sender keys: one chain per group, who was given it, and its distribution, as many devices as there may be.

A message is sent only when every current device was given the chain, as far as the server has it. Whoever was ever
given the chain, or may have been, stands in `Holders`: when one of them is no current device any more, there is a new
chain before the next message.
"""

import msgspec

from cooee.client.e2ee import lists, pairwise
from cooee.client.e2ee.kinds import Holder, Holders, OutFrame, OutItem, device_id_of
from cooee.client.e2ee.step import Step
from cooee.crypto.sender_key import OwnSenderKey
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol.body import SenderKeyControl, encode_control

Devices = dict[DeviceRef, bytes]
"""Devices with their identity keys."""


def group_devices(step: Step, conversation_id: str) -> Devices:
    """Return all current devices of all members, this one too."""
    group = step.group(conversation_id)
    members = () if group is None else group.members
    return {ref: identity for user_id in members for ref, identity in lists.current(step, user_id)}


def ensure(step: Step, conversation_id: str, devices: Devices) -> None:
    """Begin a new chain if there is none, if it is worn, or if somebody has it who is no current device any more."""
    chain, holders = step.chain(conversation_id), step.holders(conversation_id)
    if chain is not None and holders is not None and holders.chain_id == chain.chain_id:
        names = {device_id_of(ref): identity for ref, identity in devices.items()}
        gone = any(names.get(name) != holder.identity for name, holder in holders.devices.items())
        if not gone and not chain.is_worn(step.now):
            return
        step.tally("chains_rotated")
    begin(step, conversation_id)


def begin(step: Step, conversation_id: str) -> None:
    """Begin a chain that nobody has."""
    chain = OwnSenderKey.generate(conversation_id, step.now, step.random)
    step.put("chain", conversation_id, chain)
    step.put("holders", conversation_id, Holders(chain.chain_id))


def lacking(step: Step, conversation_id: str, devices: Devices) -> list[DeviceRef]:
    """Return the devices that a message waits for: not known to have the chain, and not barred."""
    holders = step.holders(conversation_id)
    if holders is None:
        return list(devices)
    return [ref for ref in devices if ref != step.me and not _has(holders, ref) and not pairwise.barred(step, ref)]


def _has(holders: Holders, ref: DeviceRef) -> bool:
    holder = holders.devices.get(device_id_of(ref))
    return holder is not None and holder.acked and not holder.again


def undistributed(step: Step, conversation_id: str) -> list[DeviceRef]:
    """Return those of the lacking devices for which no distribution is on its way."""
    chain = step.chain(conversation_id)
    if chain is None:
        return []
    on_the_way = {
        item.ref
        for _, frame in step.all("out", OutFrame)
        for item in frame.items
        if item.conversation_id == conversation_id and item.chain_id == chain.chain_id
    }
    wanted = lacking(step, conversation_id, group_devices(step, conversation_id))
    return [ref for ref in wanted if ref not in on_the_way]


def demanded(step: Step) -> list[str]:
    """Return the groups in which a message waits."""
    return [conversation_id for conversation_id, until in step.memory.demand.items() if step.now < until]


def distributable(step: Step) -> dict[str, list[DeviceRef]]:
    """Return, by group, the devices to which a distribution can be sent now."""
    if not pairwise.room(step) or not step.linked:
        return {}
    found = {}
    for conversation_id in demanded(step):
        refs = [
            ref
            for ref in undistributed(step, conversation_id)
            if pairwise.ready(step, ref) or ref in step.memory.bundles
        ]
        if refs:
            found[conversation_id] = refs
    return found


def distribute(step: Step) -> None:
    """Send the chain to some of the devices that lack it."""
    left = pairwise.AT_ONCE
    for conversation_id, refs in distributable(step).items():
        chain = step.chain(conversation_id)
        holders = step.holders(conversation_id)
        if chain is None or holders is None:
            continue
        text = base64url.encode(chain.distribution())
        control = encode_control(SenderKeyControl(conversation_id=conversation_id, distribution=text))
        given = dict(holders.devices)
        for ref in refs[:left]:
            left -= 1
            identity = lists.identity_of(step, ref)
            if identity is None or (not pairwise.ready(step, ref) and not pairwise.begin(step, ref)):
                continue
            content = pairwise.encrypt(step, ref, control)
            pairwise.put_out(step, OutItem(ref, content, conversation_id, chain.chain_id))
            given[device_id_of(ref)] = Holder(identity)
        step.put("holders", conversation_id, Holders(chain.chain_id, given))
        if left <= 0 or not pairwise.room(step):
            return


def acked(step: Step, item: OutItem) -> None:
    """The server has a distribution."""
    _mark(step, item.conversation_id, item.ref, item.chain_id, acked=True, again=False)


def again(step: Step, conversation_id: str, ref: DeviceRef) -> None:
    """A device seems to have lost the chain: it is given to it again before the next message."""
    holders = step.holders(conversation_id)
    if holders is not None and device_id_of(ref) in holders.devices:
        _mark(step, conversation_id, ref, holders.chain_id, again=True)


def all_again(step: Step, ref: DeviceRef) -> None:
    """A device began a new session, so what was sent in the former one may be lost: all chains are given again."""
    for conversation_id in step.ids("holders"):
        again(step, conversation_id, ref)


def _mark(step: Step, conversation_id: str, ref: DeviceRef, chain_id: int, **changes: bool) -> None:
    holders = step.holders(conversation_id)
    name = device_id_of(ref)
    if holders is None or holders.chain_id != chain_id or name not in holders.devices:
        return
    holder = msgspec.structs.replace(holders.devices[name], **changes)
    step.put("holders", conversation_id, Holders(chain_id, {**holders.devices, name: holder}))
