"""The server killed by `kill -9` in the middle of load, again and again: nothing acked is lost, nothing doubled."""
