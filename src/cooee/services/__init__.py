"""Use cases, one a function, over ports. May import `ports`, `protocol` and `domain`, never an adapter."""
