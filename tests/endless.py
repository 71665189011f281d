"""A child process that never ends by itself."""

from __future__ import annotations

import time


def main() -> None:
    """Sleeps on."""
    while True:
        time.sleep(60)
