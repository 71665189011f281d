"""Callers that hold every answer against an idle server's."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.answers import Answer
from benchmarks.chaos.client import Client
from benchmarks.chaos.events import Call
from benchmarks.chaos.kinds import Kind
from benchmarks.server_process import ServerProcess

CALLERS = 8


@dataclass
class Tally:
    """What callers saw."""

    calls: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    other: list[Call] = field(default_factory=list)
    """Calls that did not give the expected answer."""

    def add(self, more: Tally) -> None:
        """Adds another's."""
        self.calls += more.calls
        self.milliseconds += more.milliseconds
        self.other += more.other


def ask_all(
    server: ServerProcess,
    kinds: Sequence[Kind],
    expected: Mapping[str, Answer],
    *,
    seconds: float,
    rate: float | None,
    seed: int = 0,
) -> Tally:
    """Has eight callers ask for some time.

    Args:
        server: Whom.
        kinds: What; each as often as its weight says.
        expected: The answers of an idle server, by kind.
        seconds: How long.
        rate: Calls a second of all together; None as fast as they can.
        seed: Of what is asked when.
    """
    tallies = [Tally() for _ in range(CALLERS)]
    end, pause = time.monotonic() + seconds, CALLERS / rate if rate else 0.0
    threads = [
        threading.Thread(target=_ask, args=(server, kinds, expected, end, pause, number, seed, tally))
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def _ask(
    server: ServerProcess,
    kinds: Sequence[Kind],
    expected: Mapping[str, Answer],
    end: float,
    pause: float,
    number: int,
    seed: int,
    tally: Tally,
) -> None:
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - which call is next is no secret
    weights = [kind.weight for kind in kinds]
    client = Client(server, number)
    due = time.monotonic() + pause * number / CALLERS
    while due < end and time.monotonic() < end:
        time.sleep(max(0.0, due - time.monotonic()))
        kind = rng.choices(kinds, weights)[0]
        sent = time.monotonic()
        answer = kind.ask(client)
        done = time.monotonic()
        tally.calls[kind.name] += 1
        tally.milliseconds.append(1e3 * (done - sent))
        if not kind.judge(answer, expected[kind.name]):
            tally.other.append(Call(kind.name, kind.touches, sent, done, min(client.connected, sent), answer))
        due = max(due + pause, sent) if pause else 0.0
    client.close()
