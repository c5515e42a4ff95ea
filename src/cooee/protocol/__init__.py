"""The wire, sans-I/O, shared by server and client: frames, codec, close codes. May import `domain`; no I/O."""
