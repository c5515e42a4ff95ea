"""What the rules need of the world, one small `typing.Protocol` a file. May import `protocol` and `domain`."""
