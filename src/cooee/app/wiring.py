"""The composition root: builds every part of a server from its configuration. The only file that names adapters."""
