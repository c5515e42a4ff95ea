"""The hash that the members of a group agree on."""

from base64 import urlsafe_b64encode
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef

DEVICES = st.dictionaries(
    st.builds(DeviceRef, st.from_regex(r"[a-z0-9][a-z0-9_.-]{1,4}", fullmatch=True), st.text("AZaz09_-", min_size=1)),
    st.text("AZaz09_-", min_size=1, max_size=4),
    max_size=8,
)


def test_it_is_the_hash_over_the_lines_that_the_protocol_tells() -> None:
    devices = [(DeviceRef("bob", "d7"), "KB"), (DeviceRef("al", "z"), "KZ"), (DeviceRef("al", "B"), "KA")]
    expected = sha256(b"al/B/KA\nal/z/KZ\nbob/d7/KB\n").digest()
    assert device_list_hash(devices) == urlsafe_b64encode(expected).rstrip(b"=").decode()
    assert device_list_hash([]) == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


def test_users_come_before_devices_also_where_one_name_begins_another() -> None:
    devices = [(DeviceRef("al.x", "a"), "1"), (DeviceRef("al", "z"), "2")]
    expected = sha256(b"al/z/2\nal.x/a/1\n").digest()
    assert device_list_hash(devices) == urlsafe_b64encode(expected).rstrip(b"=").decode()


@given(DEVICES, st.randoms())
def test_the_order_in_which_they_are_given_does_not_matter(devices: dict[DeviceRef, str], random: object) -> None:
    items = list(devices.items())
    shuffled = items.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert device_list_hash(shuffled) == device_list_hash(items)


@given(DEVICES, DEVICES)
def test_other_devices_or_keys_have_another_hash(one: dict[DeviceRef, str], other: dict[DeviceRef, str]) -> None:
    assert (device_list_hash(one.items()) == device_list_hash(other.items())) == (one == other)
