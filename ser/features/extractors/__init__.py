"""Feature extractors; each module here is one, and adding a module adds one."""
