"""SER's figures over those of the prediction in the process, and over those of another commit's code."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

_AIMS = {"HTTP": 1.5, "GRPC": 2.0}
"""How many times as long as the prediction in the process a call may take."""
_HIGHER_IS_BETTER = "calls_a_second"


def print_ratios(
    console: Console,
    figures: Mapping[str, Mapping[str, Sequence[float]]],
    alone: Mapping[str, Mapping[str, Sequence[float]]],
    this: str,
    other: str | None,
) -> None:
    """Prints both.

    Args:
        console: Where to.
        figures: By the system's name, each figure of each round.
        alone: The same of the prediction in the process, by the revision's name.
        this: The name of this code.
        other: That of another commit, if it was measured.
    """
    for name in filter(None, (this, other)):
        single = statistics.median(alone[name]["p50_ms"])
        console.print(f"{name}, in the process: p50 {single:.2f} ms")
        for protocol, aim in _AIMS.items():
            times = statistics.median(figures[f"{name}, {protocol}"]["p50_ms"]) / single
            console.print(f"{name}, {protocol}: {times:.2f} times the prediction in the process (aim at most {aim:g})")
    if other is None:
        return
    table = Table("", this, other, "ratio", "noise", "", title=f"{this} against {other}", box=None)
    pairs = [(f"{protocol}, {key}", figures[f"{this}, {protocol}"][key], figures[f"{other}, {protocol}"][key])
             for protocol in _AIMS for key in ("p50_ms", _HIGHER_IS_BETTER)]  # fmt: skip
    pairs.insert(0, ("in the process, p50_ms", alone[this]["p50_ms"], alone[other]["p50_ms"]))
    for name, ours, theirs in pairs:
        ratio, noise = statistics.median(ours) / statistics.median(theirs), _noise(theirs)
        worse = (1 / ratio if _HIGHER_IS_BETTER in name else ratio) - 1
        verdict = "worse" if worse > noise else "better" if worse < -noise else "the same"
        table.add_row(
            name, f"{statistics.median(ours):.3f}", f"{statistics.median(theirs):.3f}", f"{ratio:.3f}",
            f"{noise:.1%}", verdict,
        )  # fmt: skip
    console.print(table)
    console.print("noise: how far the other's own rounds lie from their median, the furthest left out")


def _noise(values: Sequence[float]) -> float:
    """How far rounds lie from their median, as a share of it, the furthest left out."""
    middle = statistics.median(values)
    distances = sorted(abs(value - middle) for value in values)
    return distances[-2 if len(distances) > 2 else -1] / middle
