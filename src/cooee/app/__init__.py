"""Configuration, wiring, telemetry and the running of a server.

Only `wiring` names adapters; imports no `cli` or `bench`.
"""
