"""SER's server against others, with the same weights; see `python -m benchmarks.serving --help`."""
