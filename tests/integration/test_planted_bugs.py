"""Each checker is shown to fail on a planted bug."""
