"""End-to-end encryption, pure and synchronous. May import `domain`; no I/O, and the server never imports it."""
