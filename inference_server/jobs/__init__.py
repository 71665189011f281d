"""Trainings as jobs: a queue in SQLite that all processes see, and child processes that do the work."""
