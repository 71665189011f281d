"""What explains a failed call, and what does not: a run that explains too much finds nothing."""

from __future__ import annotations

import pytest

from benchmarks.chaos.answers import BROKEN, LATE, OK, Answer, of_http, same
from benchmarks.chaos.events import (
    CHANGING,
    DELETION,
    DISK,
    KILL,
    LOCK,
    QUEUE,
    REPLACEMENT,
    STOP,
    VICTIM,
    Call,
    Event,
    Events,
)

NOTHING: frozenset[str] = frozenset()


def explained(event: Event, outcome: str, touches: frozenset[str] = NOTHING, message: str = "") -> bool:
    events = Events(recovery_seconds=1.0)
    events._all.append(event)
    call = Call("x", touches, sent=100.0, done=101.0, connected=90.0, answer=Answer(outcome, message=message))
    return events.explain(call) is not None


@pytest.mark.parametrize(
    ("kind", "outcome", "touches"),
    [
        (KILL, BROKEN, NOTHING),
        (STOP, LATE, NOTHING),
        (KILL, "RESOURCE_EXHAUSTED", NOTHING),
        (DELETION, "NOT_FOUND", frozenset({VICTIM})),
        (REPLACEMENT, "NOT_FOUND", frozenset({CHANGING})),
        (DISK, "UNAVAILABLE", frozenset({QUEUE})),
        (LOCK, "RESOURCE_EXHAUSTED", frozenset({QUEUE})),
    ],
)
def test_what_was_done_at_that_moment_explains_what_comes_of_it(
    kind: str, outcome: str, touches: frozenset[str]
) -> None:
    assert explained(Event(kind, 100.5, 100.5), outcome, touches)
    assert not explained(Event(kind, 110.0, 110.0), outcome, touches)  # after it
    assert not explained(Event(kind, 80.0, 80.0), outcome, touches)  # long before it


@pytest.mark.parametrize("outcome", [OK, "INTERNAL", "DATA_LOSS", "INVALID_ARGUMENT", "HTTP 500"])
@pytest.mark.parametrize("kind", [KILL, STOP, DISK, LOCK, DELETION, REPLACEMENT])
def test_a_wrong_answer_is_explained_by_nothing(kind: str, outcome: str) -> None:
    assert not explained(Event(kind, 100.0), outcome, frozenset({VICTIM, CHANGING, QUEUE}))


@pytest.mark.parametrize(("kind", "outcome"), [(DELETION, "NOT_FOUND"), (DISK, "UNAVAILABLE"), (LOCK, "UNAVAILABLE")])
def test_it_explains_calls_that_touch_it_and_no_others(kind: str, outcome: str) -> None:
    assert not explained(Event(kind, 100.0), outcome)


def test_a_connection_may_have_broken_since_it_was_last_used() -> None:
    assert explained(Event(KILL, 95.0, 95.0), BROKEN)
    assert not explained(Event(KILL, 95.0, 95.0), "RESOURCE_EXHAUSTED")  # that is of the moment


def test_as_many_jobs_as_may_wait_is_an_answer() -> None:
    events = Events(recovery_seconds=1.0)
    answer = Answer("RESOURCE_EXHAUSTED", message="16 training jobs wait already, as many as may")
    assert events.explain(Call("x", frozenset({QUEUE}), 100.0, 101.0, 90.0, answer))
    assert not events.explain(Call("x", NOTHING, 100.0, 101.0, 90.0, answer))


def test_numbers_are_the_same_to_a_millionth_and_nothing_else_may_differ() -> None:
    assert same({"a": [0.5, "x", True]}, {"a": [0.5 + 9e-7, "x", True]})
    for other in ({"a": [0.50001]}, {"a": ["0.5"]}, {"a": [0.5, 0.5]}, {"b": [0.5]}, {"a": [float("nan")]}, {}, [0.5]):
        assert not same({"a": [0.5]}, other)


def test_errors_of_one_kind_agree_whatever_names_and_numbers_they_have() -> None:
    def failed(message: str, field: str = "audio") -> Answer:
        content = '{"code": 3, "message": "%s", "details": [{"field_violations": [{"field": "%s"}]}]}'
        return of_http(400, "application/json", (content % (message, field)).encode())

    assert failed("expected at most 20 s, got 31.5 s").agrees(failed("expected at most 20 s, got 7 s"))
    assert not failed("expected at most 20 s").agrees(failed("expected a recording"))
    assert not failed("expected at most 20 s").agrees(failed("expected at most 20 s", field="clips"))
