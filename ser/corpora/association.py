"""How labels go together with speakers, texts and corpora, and what that means for protocols of evaluation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser.corpora.schemes.base import is_unknown, listed

_DEFAULT_FOLDS = 10


@dataclass(frozen=True)
class Confounding:
    """How much a speaker, a text or a corpus says about the label."""

    by: str
    """"speaker", "text" or "corpus"."""
    groups: int
    """How many there are, those unknown left out."""
    cramers_v: float | None
    """From 0, independent, to 1, corrected for bias; None where there is one group or one label."""
    single: dict[str, str]
    """Label that comes from a single one, to which."""
    meaning: str
    """The same in words."""


@dataclass(frozen=True)
class Feasibility:
    """What is to be said of a protocol on a corpus."""

    protocol: str
    verdict: str
    """"yes", "with care" or "no"."""
    reason: str


def cramers_v(pairs: Sequence[tuple[str, str]]) -> float | None:
    """How strongly two nominal variables go together: Cramér's V, corrected for bias.

    Where cells are few, plain V is far above 0 even of independent variables. The correction is that of Bergsma, "A
    bias-correction for Cramér's V and Tschuprow's T" (2013).

    Args:
        pairs: An observation each.

    Returns:
        0 to 1; None where a variable does not vary, or observations are too few to tell.
    """
    rows, columns = (sorted(set(values)) for values in (zip(*pairs, strict=True) if pairs else ((), ())))
    n, r, k = len(pairs), len(rows), len(columns)
    if min(r, k) < 2:
        return None
    counts = Counter(pairs)
    table = np.array([[counts[row, column] for column in columns] for row in rows], dtype=np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi_squared = float((np.square(table - expected) / expected).sum()) / n
    corrected = max(0.0, phi_squared - (r - 1) * (k - 1) / (n - 1))
    least = min(size - (size - 1) ** 2 / (n - 1) for size in (r, k)) - 1
    return min(1.0, float(np.sqrt(corrected / least))) if least > 0 else None


def confounding(by: str, groups: Sequence[str], labels: Sequence[str]) -> Confounding:
    """How much one thing says about the label.

    Args:
        by: What the groups are, as "speaker".
        groups: Each recording's group.
        labels: Each recording's label.
    """
    known = [pair for pair in zip(groups, labels, strict=True) if not is_unknown(pair[0])]
    names = {group for group, _ in known}
    value, single = cramers_v(known), _single(known) if len(names) > 1 else {}
    if not known:
        meaning = f"The {by} is unknown."
    elif len(names) == 1:
        meaning = f"There is one {by}."
    elif value is None:
        meaning = f"The recordings are too few to tell how much the {by} says about the label."
    else:
        meaning = f"The {by} says {_amount(value)} about the label (Cramér's V {value:.2f})."
        pure = sum(count == 1 for count in Counter(group for group, _ in set(known)).values())
        if pure:
            meaning += f" {pure} of {len(names)} have a single label: there the {by} gives it away."
    if single:
        meaning += f" From a single {by}: {listed([f'{label} ({group})' for label, group in single.items()])}."
    return Confounding(by, len(names), value, single, meaning)


def protocols(
    labels: Sequence[str], speakers: Sequence[str], texts: Sequence[str], corpora: Sequence[str]
) -> tuple[Feasibility, ...]:
    """Which protocols of evaluation some recordings allow; all arguments have one value a recording."""
    found = [_holdout(labels), _k_fold(labels)]
    speaker = _leave_out("speaker", speakers, labels)
    text = _leave_out("text", texts, labels)
    both = max((speaker, text), key=lambda one: ("yes", "with care", "no").index(one.verdict))
    reason = "Each fold leaves out a speaker and a text at once." if both.verdict == "yes" else both.reason
    found += [speaker, text, Feasibility("leave one speaker and text out", both.verdict, reason)]
    return (*found, _leave_out("corpus", corpora, labels))


def _holdout(labels: Sequence[str]) -> Feasibility:
    counts = Counter(labels)
    rare = sorted(label for label, count in counts.items() if count < 2)
    if len(counts) < 2:
        return Feasibility("holdout", "no", f"There is {'one label' if counts else 'no label'}: nothing to tell apart.")
    if rare:
        return Feasibility("holdout", "no", f"One recording cannot be both learnt and tested: {listed(rare)}.")
    return Feasibility("holdout", "yes", "Each label has two recordings or more. Speakers are on both sides.")


def _k_fold(labels: Sequence[str]) -> Feasibility:
    counts = Counter(labels)
    fewest = min(counts.values(), default=0)
    if len(counts) < 2 or fewest < 2:
        return Feasibility("k-fold", "no", _holdout(labels).reason)
    if fewest < _DEFAULT_FOLDS:
        rarest = min(counts, key=lambda label: (counts[label], label))
        return Feasibility("k-fold", "with care", f"At most {fewest} folds: there are so many of {rarest}.")
    return Feasibility(
        "k-fold", "yes", f"Each label has {_DEFAULT_FOLDS} recordings or more. Speakers are on both sides."
    )


def _leave_out(by: str, groups: Sequence[str], labels: Sequence[str]) -> Feasibility:
    protocol, pairs = f"leave one {by} out", list(zip(groups, labels, strict=True))
    unknown, names = sum(map(is_unknown, groups)), set(groups)
    if unknown:
        reason = f"The {by} of {unknown} of {len(groups)} recordings is unknown; a labels.csv can tell it."
        return Feasibility(protocol, "no", reason)
    if len(names) < 2 or len(set(labels)) < 2:
        return Feasibility(
            protocol, "no", f"It takes two of each: there is {len(names)} {by}, {len(set(labels))} label."
        )
    single = _single(pairs)
    if len(single) == len(set(labels)):
        return Feasibility(protocol, "no", f"Each label comes from a single {by}: left out, it cannot be learnt.")
    if single:
        reason = f"From a single {by}, and not to be learnt when that is left out: {listed(list(single))}."
        return Feasibility(protocol, "with care", reason)
    part = sum(count < len(set(labels)) for count in Counter(group for group, _ in set(pairs)).values())
    lacking = f" Some labels do not come in {part} of them: judge by all folds pooled." if part else ""
    return Feasibility(protocol, "yes", f"{len(names)} folds.{lacking}")


def _single(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Labels that come from one group only, sorted, and that group."""
    groups: dict[str, set[str]] = defaultdict(set)
    for group, label in pairs:
        groups[label].add(group)
    return {label: next(iter(found)) for label, found in sorted(groups.items()) if len(found) == 1}


def _amount(value: float) -> str:
    # The bounds are Cohen's (1988) for small, medium and large effects.
    for bound, word in ((0.1, "next to nothing"), (0.3, "a little"), (0.5, "much")):
        if value < bound:
            return word
    return "very much"
