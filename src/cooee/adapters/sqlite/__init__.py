"""Ports on one SQLite file: the embedded profile. May import `ports`, `protocol` and `domain`."""
