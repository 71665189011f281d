"""How long to wait before something that failed is tried again, and how often to say so."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("ser.server")


class Backoff:
    """One thing that is tried again and again: waits that double up to a bound, and one log line a trouble."""

    def __init__(self, what: str, *, first: float, longest: float) -> None:
        """Takes waits in seconds.

        Args:
            what: What it means that it fails, as the log has it before the reason: "training jobs wait".
            first: The wait after the first failure.
            longest: No wait is longer.
        """
        self._what = what
        self._first, self._longest = first, longest
        self._seconds = 0.0
        self._due = 0.0
        self._trouble: str | None = None

    @property
    def is_due(self) -> bool:
        """Whether it may be tried (again)."""
        return time.monotonic() >= self._due

    def failed(self, why: str) -> None:
        """It failed: it is due after the next wait."""
        self._seconds = min(self._longest, 2 * self._seconds or self._first)
        self._due = time.monotonic() + self._seconds
        if why != self._trouble:
            logger.error("%s: %s", self._what, why)
            self._trouble = why

    def worked(self) -> None:
        """It worked: the next failure waits as little as the first."""
        self._seconds = self._due = 0.0
        if self._trouble is not None:
            logger.warning("%s: over", self._what)
            self._trouble = None
