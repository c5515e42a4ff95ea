"""All ports in memory, for fast tests and as the model that the durable adapters are compared with."""


class MemoryStore:
    """The ports of one imaginary server; everything is gone with the object."""

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
