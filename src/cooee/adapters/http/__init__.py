"""Ports filled by HTTP requests to elsewhere."""
