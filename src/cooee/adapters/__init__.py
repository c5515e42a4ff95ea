"""Ports filled by real technology, one folder each, strangers to each other.

May import `ports` and below; only `app.wiring` imports them.
"""
