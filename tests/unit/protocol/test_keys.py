"""Records of device keys: what is secret in them is not printed."""

from cooee.protocol.keys import PutDeviceList


def test_a_request_does_not_print_the_password() -> None:
    body = PutDeviceList(payload="AA", signature="BB", reset=True, password="correct horse")
    assert "horse" not in repr(body)
    assert "horse" not in f"{[body]}"
