"""A test-only way to start the server: `python -m tests.integration.planted BUG serve …` plants a bug, then runs it."""
