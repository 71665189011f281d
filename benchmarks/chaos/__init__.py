"""A server under mixed load that is disturbed in every way; see `python -m benchmarks.chaos --help`."""
