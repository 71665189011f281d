"""What is fuzzed: a parser, inputs for it, and what is held against its answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class WrongAnswerError(Exception):
    """A parser took an input, and what it made of it breaks a promise."""


@dataclass(frozen=True)
class Parser:
    """Something of SER that meets a stranger's bytes."""

    make: Callable[[random.Random], bytes]
    """An input; the same state of the generator gives the same."""
    take: Callable[[bytes], object]
    """Parses; returns if it takes the input, raises a `SerError` if it refuses it. All else is a finding."""


@dataclass(frozen=True)
class Surroundings:
    """What parsers need to be made."""

    scratch: Path
    """A folder of this run's own, in memory where the machine has such."""
    plain: Path
    """The folder of a model, from whose files inputs are made."""
    adaptive: Path
    """The folder of one that adapts to speakers."""


Prepare = Callable[[Surroundings], Parser]
"""Makes a parser; what is slow to import it imports."""


def expect(right: bool, what: str) -> None:
    """Holds a promise against an answer.

    Raises:
        WrongAnswerError: If it is broken.
    """
    if not right:
        raise WrongAnswerError(what)
