"""A key for the stores of tests."""

from cooee.client.key_wrap import StoreKey

STORE_KEY = StoreKey(bytes(range(32)))
