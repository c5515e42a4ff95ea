"""Cooee: a real-time chat server, its SDK and its command line. See ARCHITECTURE.md for the rooms of this package."""
