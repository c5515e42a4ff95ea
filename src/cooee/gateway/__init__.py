"""Connections, sessions and the HTTP API. May import `services`, `ports`, `protocol` and `domain`."""
