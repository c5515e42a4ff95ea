"""Routes of keys and device lists (PROTOCOL.md §15)."""

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import check_conversation_id
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import keys

_Call = Call[HttpServices]


async def put_keys(call: _Call) -> keys.KeyStock:
    """Publish keys."""
    return await call.services.keys.publish(call.caller, call.body)


async def get_key_status(call: _Call) -> keys.KeyStatus:
    """Tell what there is of the device's keys."""
    return await call.services.keys.status(call.caller)


async def claim_keys(call: _Call) -> keys.Claimed:
    """Give out bundles."""
    wanted: keys.ClaimKeys = call.body
    return await call.services.keys.claim(call.caller.user_id, wanted.devices)


async def put_device_list(call: _Call) -> keys.ListVersion:
    """Replace the own device list."""
    return keys.ListVersion(await call.services.keys.put_list(call.caller, call.path["userId"], call.body))


async def get_device_list(call: _Call) -> keys.SignedList:
    """Return a user's device list."""
    return await call.services.keys.find_list(call.caller.user_id, call.path["userId"])


async def get_device_lists(call: _Call) -> keys.DeviceLists:
    """Return the device lists of many users."""
    asked: keys.AskLists = call.body
    return keys.DeviceLists(await call.services.keys.lists(call.caller.user_id, asked.users))


async def set_encryption(call: _Call) -> keys.Encryption:
    """Say how a conversation is written."""
    wanted: keys.SetEncryption = call.body
    conversation_id = call.path["conversationId"]
    check_conversation_id(conversation_id)
    return await call.services.modes.set(call.caller, conversation_id, wanted.mode)


_LIST = "/v1/users/{userId}/device-list"

ROUTES = (
    Route(
        method="PUT",
        path="/v1/keys",
        endpoint=put_keys,
        summary="Publish this device's public keys, or what is new of them. Idempotent.",
        tag="keys",
        request=keys.PublishKeys,
        response=keys.KeyStock,
        limit="key_uploads",
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path="/v1/keys/status",
        endpoint=get_key_status,
        summary="What the server has of this device's keys, and how many are left.",
        tag="keys",
        response=keys.KeyStatus,
    ),
    Route(
        method="POST",
        path="/v1/keys/claim",
        endpoint=claim_keys,
        summary="Claim one bundle of keys for each device; a one-time key is given out once.",
        tag="keys",
        request=keys.ClaimKeys,
        response=keys.Claimed,
        limit="key_claims",
    ),
    Route(
        method="PUT",
        path=_LIST,
        endpoint=put_device_list,
        summary="Replace the own signed device list by the next version.",
        tag="keys",
        request=keys.PutDeviceList,
        response=keys.ListVersion,
        limit="device_list_changes",
        errors=(ErrorCode.CONFLICT, ErrorCode.MISMATCHED_DEVICES, ErrorCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path=_LIST,
        endpoint=get_device_list,
        summary="The newest signed device list of a user.",
        tag="keys",
        response=keys.SignedList,
        limit="device_list_lookups",
        errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path="/v1/device-lists",
        endpoint=get_device_lists,
        summary="The signed device lists of many users, without those whose version is known already.",
        tag="keys",
        request=keys.AskLists,
        response=keys.DeviceLists,
        limit="device_list_lookups",
    ),
    Route(
        method="PUT",
        path="/v1/conversations/{conversationId}/encryption",
        endpoint=set_encryption,
        summary="Say to all members how the conversation is written from now on (a group: admins).",
        tag="keys",
        request=keys.SetEncryption,
        response=keys.Encryption,
        limit="group_changes",
        errors=(ErrorCode.NOT_FOUND,),
    ),
)
