"""The policy of hybrid fan-out: small conversations are written to inboxes, large ones are read from the timeline."""

DEFAULT_LARGE_GROUP_MEMBERS = 50


def is_large(member_count: int, threshold: int = DEFAULT_LARGE_GROUP_MEMBERS) -> bool:
    """Tell whether a conversation with ``member_count`` members is fanned out at read time."""
    return member_count >= threshold
