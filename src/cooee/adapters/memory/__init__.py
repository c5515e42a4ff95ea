"""Ports in plain memory, for tests and for what may be lost. May import `ports`, `protocol` and `domain`."""
