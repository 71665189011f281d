"""Seeded mutation fuzzing of every parser that meets a stranger's bytes; see `python -m benchmarks.fuzz --help`."""
