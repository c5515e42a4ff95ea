"""The SDK: connection, outbox, local store and state.

May import `protocol`, `crypto` and `domain`, nothing of the server.
"""
