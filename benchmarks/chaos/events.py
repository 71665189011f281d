"""What was done to the server and when; and what that explains. A failed call that nothing explains is a fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.chaos.answers import BROKEN, LATE, Answer

KILL, STOP, DISK, LOCK, DELETION, REPLACEMENT = "kill", "stop", "full disk", "lock", "deletion", "replacement"
VICTIM, CHANGING, QUEUE = "victim", "changing", "queue"
"""What a call may touch: the model that is deleted, the one that is replaced, the queue of jobs."""
_AT_ONCE = 0.25
"""Seconds that clocks and threads of this process may be late by."""
_NO_ANSWER = (BROKEN, LATE)
_OVERLOADED = ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED")
_REFUSED = (*_OVERLOADED, "FAILED_PRECONDITION")


@dataclass(frozen=True)
class _Rule:
    """What may come of something that is done."""

    kind: str
    outcomes: tuple[str, ...]
    why: str
    touched: str | None = None
    """Only of calls that touch this."""


_RULES = (
    _Rule(KILL, _NO_ANSWER, "the worker died that had the call, or the connection that it was made on"),
    _Rule(STOP, _NO_ANSWER, "the worker hung that had the call, or was replaced"),
    _Rule(KILL, _OVERLOADED, "the others had everybody's calls"),
    _Rule(STOP, _OVERLOADED, "the others had everybody's calls"),
    _Rule(DELETION, ("NOT_FOUND",), "the model was not there", VICTIM),
    _Rule(REPLACEMENT, ("NOT_FOUND",), "the model stepped aside for the other", CHANGING),
    _Rule(DISK, _REFUSED, "no room for a job", QUEUE),
    _Rule(LOCK, _REFUSED, "the database was held by another process", QUEUE),
)


@dataclass
class Event:
    """Something that was done, from when to when."""

    kind: str
    begin: float
    end: float = float("inf")
    detail: str = ""


@dataclass(frozen=True)
class Call:
    """A call that did not give the answer of an idle server."""

    name: str
    touches: frozenset[str]
    sent: float
    done: float
    connected: float
    """When its connection last gave an answer, or was made: what broke it may have happened since then."""
    answer: Answer


@dataclass
class Events:
    """Everything that was done."""

    recovery_seconds: float
    """How long after a kill, or after a hang has ended, calls may still fail."""
    _all: list[Event] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def during(self, kind: str, detail: str = "") -> Iterator[Event]:
        """Keeps an event that lasts."""
        event = Event(kind, time.monotonic(), detail=detail)
        with self._turn:
            self._all.append(event)
        try:
            yield event
        finally:
            event.end = time.monotonic()

    def at_once(self, kind: str, detail: str = "") -> None:
        """Keeps an event that does not last."""
        now = time.monotonic()
        with self._turn:
            self._all.append(Event(kind, now, now, detail))

    def count(self, kind: str) -> int:
        """How often it happened."""
        return sum(event.kind == kind for event in self._of(kind))

    def explain(self, call: Call) -> str | None:
        """Why a call may have failed as it did; None if nothing explains it."""
        if QUEUE in call.touches and "wait already" in call.answer.message:
            return "as many jobs waited as may"
        return next((f"{rule.kind}: {rule.why}" for rule in _RULES if self._explains(rule, call)), None)

    def _explains(self, rule: _Rule, call: Call) -> bool:
        fits = call.answer.outcome in rule.outcomes and (rule.touched is None or rule.touched in call.touches)
        begin = call.connected if rule.outcomes is _NO_ANSWER else call.sent
        after = _AT_ONCE if rule.kind in (DELETION, REPLACEMENT) else self.recovery_seconds
        return fits and self._within(rule.kind, begin, call.done, after)

    def _within(self, kind: str, begin: float, end: float, after: float) -> bool:
        return any(event.begin <= end and event.end + after >= begin - _AT_ONCE for event in self._of(kind))

    def _of(self, kind: str) -> list[Event]:
        with self._turn:
            return [event for event in self._all if event.kind == kind]
