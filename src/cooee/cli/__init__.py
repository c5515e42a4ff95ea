"""The command `cooee`: what a person types and sees. May import everything but adapters."""
