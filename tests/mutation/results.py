"""What came of the faults that were tried, in a file that is committed, and why those that nobody noticed are left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

KILLED, SURVIVED, TIMED_OUT, UNREACHED = "killed", "survived", "timed out", "unreached"
_HERE = Path(__file__).parent
RESULTS = _HERE / "results.jsonl"
REASONS = _HERE / "survivors.json"


@dataclass(frozen=True)
class Result:
    """A fault, and what the tests said of it."""

    identity: str
    path: str
    kind: str
    old: str
    new: str
    outcome: str
    """killed; survived; timed out, which counts as killed: a test that waits for ever has a limit; unreached, which
    counts as survived: no test executes the line."""
    by: str
    """The test that noticed."""

    @property
    def noticed(self) -> bool:
        """Whether a test failed."""
        return self.outcome in (KILLED, TIMED_OUT)


def read() -> dict[str, Result]:
    """The results so far, by the fault's identity; of one that was tried twice the last."""
    if not RESULTS.is_file():
        return {}
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    return {result.identity: result for result in (Result(**json.loads(line)) for line in lines)}


def add(result: Result) -> None:
    """Keeps a result; a run that is killed loses the fault under way and no other."""
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def reasons() -> dict[str, str]:
    """Identity of a fault that no test notices to why it is left: it makes no difference, or another stated reason."""
    found: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else {}
    return found


def table(tried: list[Result]) -> Iterator[str]:
    """Lines of Markdown: the score by folder, and of all; faults that make no difference count for nothing."""
    explained = reasons()
    equal = {identity for identity, why in explained.items() if why.startswith("equivalent")}
    yield "| | faults | make no difference | noticed | of those that make one |"
    yield "|---|---|---|---|---|"
    folders = sorted({result.path.partition("/")[0] for result in tried})
    for name in (*folders, "all"):
        of_folder = [one for one in tried if name in ("all", one.path.partition("/")[0])]
        noticed = sum(one.noticed for one in of_folder)
        same = sum(one.identity in equal and not one.noticed for one in of_folder)
        share = 100 * noticed / max(1, len(of_folder) - same)
        yield f"| {name} | {len(of_folder)} | {same} | {noticed} | {share:.0f} % |"
