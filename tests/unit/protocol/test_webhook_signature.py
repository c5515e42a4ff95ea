"""Signatures of outgoing webhooks, as every receiver must see them."""

import json
from pathlib import Path
from typing import Any

import pytest

from cooee.client import WebhookNotVerified, verify_webhook
from cooee.protocol.webhook_signature import decode_secret, encode_secret, signature, signed_headers, verify

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "spec/vectors/webhooks.json").read_text("utf-8"))
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


@pytest.mark.parametrize("vector", VECTORS["signed"])
def test_a_signature_is_that_of_standard_webhooks(vector: dict[str, Any]) -> None:
    key = decode_secret(vector["secret"])
    made = signature(key, vector["id"], vector["timestamp"], vector["body"].encode())
    assert made == vector["signature"]


@pytest.mark.parametrize("case", VECTORS["verified"], ids=lambda case: case["name"])
def test_a_receiver_believes_this_and_not_that(case: dict[str, Any]) -> None:
    given = case["secret"], case["headers"], case["body"].encode()
    if case["good"]:
        assert verify_webhook(*given, now_s=case["now"]) == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    else:
        with pytest.raises(WebhookNotVerified):
            verify_webhook(*given, now_s=case["now"])


def test_while_a_secret_is_replaced_both_are_believed() -> None:
    headers = signed_headers([OTHER, KEY], "msg_1", 1000, b"{}")
    assert headers["webhook-signature"].count("v1,") == 2
    for key in (KEY, OTHER):
        assert verify(encode_secret(key), headers, b"{}", 1000) == "msg_1"
    with pytest.raises(WebhookNotVerified):
        verify(encode_secret(bytes(32)), headers, b"{}", 1000)


@pytest.mark.parametrize("signatures", ["v1,", "v1", ",", "v1,é", "v1,\udcff", "v1," + "A" * 100_000, " " * 1000])
def test_odd_signatures_are_just_not_good(signatures: str) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1000", "webhook-signature": signatures}
    with pytest.raises(WebhookNotVerified):
        verify(encode_secret(KEY), headers, b"{}", 1000)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + "A" * 400])
def test_what_is_no_secret_is_called_so(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(secret, {}, b"")


def test_the_clock_is_the_receivers_own() -> None:
    with pytest.raises(WebhookNotVerified, match="too old"):
        verify_webhook(encode_secret(KEY), signed_headers([KEY], "msg_1", 1000, b"{}"), b"{}")
