"""Load generator and scenarios behind `cooee bench`. May import everything but `cli` and adapters."""
