"""What the figures in the README and in docs/ come from; each is run as `python -m benchmarks.<name>`."""
