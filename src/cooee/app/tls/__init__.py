"""Certificates: the operator's own, or those of a local network, which the server makes itself."""
