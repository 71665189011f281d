"""What was found: one line for each input that broke the rule, gathered by where it broke."""

from __future__ import annotations

import json
import random
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.fuzz.parser import WrongAnswerError

ROOT = Path(__file__).parents[2]
_OURS = ("ser", "ser_inference_server", "ser_client")


@dataclass(frozen=True)
class Finding:
    """One input that was neither taken nor refused."""

    bucket: str
    """The kind of error and the innermost place of ours: what has one cause has one bucket."""
    index: int
    """Which input, of the parser's under this seed."""
    size: int
    """Its bytes."""
    message: str


@dataclass(frozen=True)
class Bucket:
    """All findings of one place."""

    name: str
    count: int
    index: int
    """Of the smallest input."""
    message: str
    base64: str
    """The smallest input."""


def generator(seed: int, parser: str, index: int) -> random.Random:
    """What an input is made from, whatever was made before."""
    return random.Random(f"{seed}/{parser}/{index}")  # noqa: S311 - inputs are no secrets


def of_error(error: BaseException, index: int, size: int) -> Finding:
    """The finding of an exception."""
    text = " ".join(str(error).split())
    if isinstance(error, WrongAnswerError):  # by the promise: its place is ours to make, not theirs
        return Finding(f"broken promise: {text.partition(', got')[0][:80]}", index, size, text[:300])
    frames = [(frame.filename, frame.name, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    where = next((place(*frame) for frame in reversed(frames) if _is_ours(frame[0])), "outside of SER")
    return Finding(f"{type(error).__name__} at {where}", index, size, text[:300])


def place(filename: str, function: str, line: int | None) -> str:
    """A place in our sources, as `ser/audio/recordings.py:decode:103`."""
    return f"{Path(filename).relative_to(ROOT)}:{function}:{line}"


def of_crash(what: str, dump: str, index: int, size: int) -> Finding:
    """The finding of a process that died, by what faulthandler wrote: the innermost frame comes first."""
    where = "outside of SER"
    for line in dump.splitlines():
        name = line.partition('File "')[2].partition('"')[0]
        if name and _is_ours(name):
            where = f"{Path(name).relative_to(ROOT)}:{line.rpartition(' in ')[2]}"
            break
    return Finding(f"{what} at {where}", index, size, what)


def write(path: Path, finding: Finding) -> None:
    """Adds a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(finding)) + "\n")


def read(path: Path) -> list[Finding]:
    """All lines that are whole; the last may not be, if the process was killed."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [Finding(**json.loads(line)) for line in lines]


def gather(found: Iterable[Finding], make: Callable[[int], bytes]) -> list[Bucket]:
    """By bucket, the most frequent first; `make` gives an input by its index."""
    by_name: dict[str, dict[int, Finding]] = {}
    for one in found:
        by_name.setdefault(one.bucket, {})[one.index] = one  # a run that is resumed tries an input again
    buckets = []
    for name, ones in by_name.items():
        least = min(ones.values(), key=lambda one: (one.size, one.index))
        content = b64encode(make(least.index)).decode()
        buckets.append(Bucket(name, len(ones), least.index, least.message, content))
    return sorted(buckets, key=lambda bucket: -bucket.count)


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in _OURS
