"""Wall clocks that jump, both ways: numbers stay dense, ids ascend, nothing is swept or logged out for it."""
