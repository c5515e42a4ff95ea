"""The HTTP API: routes, authentication, errors and documents. May import what `gateway` may."""
