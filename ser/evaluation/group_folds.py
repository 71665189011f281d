"""Whole groups into folds of about the same size, so that every emotion is learnt from in each."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

_TRIES = 100


def deal_groups(groups: Mapping[str, Counter[str]], count: int, random_state: int) -> dict[str, int]:
    """Deals groups to folds, the largest first, each to the fold that has the fewest recordings so far.

    Among groups of one size the seed decides who comes first. No fold gets all groups of an emotion, as there would be
    none left to learn it from; where the order by size leads into that, orders that the seed decides are tried.

    Args:
        groups: Each group to its number of recordings by emotion.
        count: How many folds, at most as many as there are groups.
        random_state: The seed.

    Returns:
        Each group to the number of its fold, from 0; every fold has a group. Where an emotion comes from one group
        alone, or no order was found, a fold has all of an emotion.
    """
    by_size = sorted(groups, key=lambda group: (-groups[group].total(), _hash(random_state, 0, group)))
    orders = [by_size]
    orders += [sorted(groups, key=lambda group: _hash(random_state, turn, group)) for turn in range(1, _TRIES)]
    dealt = (_deal(groups, order, count) for order in orders)
    return next((one for one in dealt if one), None) or _deal(groups, by_size, count, regardless=True)


def _deal(
    groups: Mapping[str, Counter[str]], order: Sequence[str], count: int, *, regardless: bool = False
) -> dict[str, int]:
    """Deals in an order; empty if that leads to a group that must go nowhere, unless `regardless` puts it anywhere."""
    undealt = Counter(emotion for of_group in groups.values() for emotion in of_group)
    folds_of: dict[str, set[int]] = defaultdict(set)
    sizes, found = [0] * count, dict[str, int]()
    for group in order:
        undealt.subtract(groups[group].keys())
        last_of = [emotion for emotion in groups[group] if not undealt[emotion]]
        allowed = [number for number in range(count) if all(folds_of[emotion] != {number} for emotion in last_of)]
        if not allowed and not regardless:
            return {}
        found[group] = min(allowed or range(count), key=lambda number: sizes[number])
        sizes[found[group]] += groups[group].total()
        for emotion in groups[group]:
            folds_of[emotion].add(found[group])
    return found


def _hash(random_state: int, turn: int, group: str) -> bytes:
    return hashlib.sha256(f"{random_state}/{turn}/{group}".encode()).digest()
