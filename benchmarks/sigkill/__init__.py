"""SIGKILL at random moments of everything that writes; see `python -m benchmarks.sigkill --help`."""
