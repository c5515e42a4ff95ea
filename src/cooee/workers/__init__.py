"""Loops that read a log and act: sequencing, fan-out, notification. May import `services` and everything below."""
