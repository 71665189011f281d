"""What is killed, how it is checked after each kill, and what must come out in the end."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sigkill import forked
from ser.bundles.bundle import Bundle
from ser.bundles.manifest import MANIFEST
from ser.bundles.model_store import list_models
from ser.errors import SerError
from ser.storage.files import read_json
from ser.storage.stamps import STAMP

_PROBE, _PROBE_BYTES = re.compile("[a-z0-9_]{8}"), 4
_KFP_PROGRAM = re.compile(r"tmp\.[A-Za-z0-9]{10}")
_UNLIKE = ("created", "seconds", "digest", "files")
"""What a manifest or a stamp says of the moment at which it was made; the files are compared themselves."""


@dataclass(frozen=True)
class Scenario:
    """Work that can be killed at any moment and started again."""

    name: str
    act: forked.Work
    """Works in a folder; done twice it leaves what it leaves when it is done once."""
    start: Callable[[Path], object] = lambda folder: folder.mkdir()
    """Makes the folder that the work begins with."""
    check: Callable[[Path], list[str]] = lambda _: []
    """What is wrong after a kill: something half made that is taken for whole."""
    result: Callable[[Path], dict[str, str]] = field(default=lambda folder: contents(folder))
    """What came out: name to digest; equal to that of a run that was never killed."""
    weight: float = 1.0
    """How often it is chosen."""
    most_kills: int = 5
    """Before it may finish."""


@dataclass(frozen=True)
class Reference:
    """A scenario's run that was never killed."""

    result: dict[str, str]
    calls: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """An episode: kills, then a run that finishes."""

    kills: int
    problems: tuple[str, ...]


def refer(scenario: Scenario, place: Path) -> Reference:
    """Runs a scenario without a kill, in a folder of its own."""
    folder = _fresh(scenario, place)
    calls, seconds = forked.count_calls(scenario.act, folder)
    return Reference(forked.ask(scenario.result, folder), calls, seconds)


def play(scenario: Scenario, reference: Reference, rng: random.Random, place: Path) -> Outcome:
    """One episode in a folder of its own."""
    folder, kills, problems = _fresh(scenario, place), 0, list[str]()
    for _ in range(rng.randint(1, scenario.most_kills)):
        kill = _kill(rng, reference)
        ended = forked.run(scenario.act, folder, kill)
        problems += [f"lived on after {kill}: {command}" for command in ended.survivors]
        if not ended.killed:
            problems += [f"ended with status {ended.status}, see its log"] if ended.status else []
            break
        kills += 1
        problems += [f"after {kill}: {problem}" for problem in forked.ask(scenario.check, folder)]
    last = forked.run(scenario.act, folder)
    if last.status:
        problems.append(f"the last run, not killed, ended with status {last.status}")
        return Outcome(kills, (*problems, forked.log_of(folder).read_text(errors="replace")[-600:]))
    result = forked.ask(scenario.result, folder)
    problems += [f"{name} is not as of an unkilled run" for name in differing(result, reference.result)]
    problems += leftovers(folder)
    return Outcome(kills, tuple(problems))


def _is_of_others(path: Path) -> bool:
    """Whether Python itself tried there whether a temporary folder can be written, or KFP put a step's program there.

    KFP's shell line makes the folder by `mktemp -d`, and leaves it after each run, killed or not.
    """
    probe = bool(_PROBE.fullmatch(path.name)) and path.is_file() and path.stat().st_size <= _PROBE_BYTES
    return probe or bool(_KFP_PROGRAM.fullmatch(path.name))


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names whose digests differ, or that only one of two has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def leftovers(folder: Path) -> list[str]:
    """What killed processes left: partial folders, and anything in the temporary folder."""
    partial = [path for path in folder.rglob(".*") if ".partial-" in path.name or ".replaced" in path.name]
    temporary = [path for path in forked.temporary_of(folder).glob("*") if not _is_of_others(path)]
    return [f"left behind: {path.relative_to(folder.parent)}" for path in (*partial, *temporary)]


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder but locks: name to digest, without what tells the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name.endswith(".lock") or path.suffix in (".keras", ".html", ".png", ".log"):
            continue
        if ".partial-" in name or ".replaced" in name:
            continue  # told of by `leftovers`
        if path.name == STAMP and path.parent.name == "report":
            continue  # has the digest of the manifest, which has the time
        found[name] = _digest(path)
    return found


def whole_models(models: Path) -> list[str]:
    """Models that are listed and cannot be opened."""
    problems = []
    for model_id in list_models(models):
        try:
            bundle = Bundle(models / model_id)
            bundle.frontend, bundle.standardiser, bundle.model, bundle.validation  # noqa: B018 - reads them
        except SerError as error:
            problems.append(f"a model is listed and is not whole: {error}")
    return problems


def _digest(path: Path) -> str:
    if path.name in (MANIFEST, STAMP):
        content = {name: value for name, value in read_json(path).items() if name not in _UNLIKE}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    if path.suffix == ".npz":  # a zip, whose members have the time
        with zipfile.ZipFile(path) as archive:
            members: Any = sorted((member.filename, member.CRC, member.file_size) for member in archive.infolist())
        return hashlib.sha256(json.dumps(members).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fresh(scenario: Scenario, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    scenario.start(place / "work")
    return place / "work"


def _kill(rng: random.Random, reference: Reference) -> forked.Kill:
    whole_group = rng.random() < 0.5
    if rng.random() < 0.4:
        return forked.Kill(whole_group, after_seconds=rng.uniform(0, reference.seconds))
    most = max(1, reference.calls)
    calls = rng.randint(1, most) if rng.random() < 0.6 else round(most ** rng.random())
    return forked.Kill(whole_group, after_calls=calls)
