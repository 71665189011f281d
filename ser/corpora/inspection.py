"""What is in a corpus folder: what it was taken for, what is wrong with it, and what it allows.

`ser.corpora.folder.prepare` stops at the first thing that is wrong; here all of it is told.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio.recordings import decode
from ser.corpora.association import Confounding, Feasibility, confounding, protocols
from ser.corpora.folder import AUDIO_FOLDER, WHOLE, Part, audio_files, repeated_names
from ser.corpora.schemes.base import CORPORA, Reading, Utterance, is_unknown, listed, not_known, recognise
from ser.errors import CorpusError, SerError
from ser.parallel import ordered_map
from ser.progress import Progress, Reporter, silent

QUIET_PEAK = 0.001
"""A recording whose largest sample is below is told of as quiet: -60 dB of full scale."""


@dataclass(frozen=True)
class PartFacts:
    """One corpus of those inspected."""

    name: str
    """As the corpora file calls it; empty without one."""
    scheme: str
    """Registered name of the corpus it was taken for; empty if of none."""
    title: str
    files: int
    """Audio files."""
    left_out: int
    """Files that the mapping of the labels leaves out."""


@dataclass(frozen=True)
class Inspection:
    """What was found. Files are named relative to the corpus."""

    source: str
    corpora: tuple[PartFacts, ...]
    recordings: int
    """Files that can be decoded and have a label to learn; what follows is of them."""
    hours: float
    seconds: dict[str, float]
    """Shortest, mean and longest recording: min, mean, max."""
    sample_rates_hz: dict[int, int]
    """Sampling rate to number of recordings."""
    channels: dict[int, int]
    labels: dict[str, int]
    """Label to number of recordings, sorted."""
    genders: dict[str, int]
    texts: dict[str, int]
    labels_by_speaker: dict[str, dict[str, int]]
    """Speaker to label to number of recordings, those of none left out."""
    problems: tuple[str, ...]
    """Each is why a training would be refused."""
    strangers: tuple[str, ...]
    """Files that the corpus does not know."""
    unreadable: dict[str, str]
    """File that cannot be used to why: damaged, silent, too long."""
    quiet: tuple[str, ...]
    """Files below `QUIET_PEAK`."""
    duplicates: tuple[tuple[str, ...], ...]
    """Files with the same content."""
    single_file_labels: tuple[str, ...]
    missing_combinations: tuple[tuple[str, str], ...]
    """Speaker and label that do not come together."""
    confounding: tuple[Confounding, ...]
    protocols: tuple[Feasibility, ...]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class _File:
    """One audio file, and what is known of it."""

    path: str
    corpus: str
    utterance: Utterance | None
    """Adapted by the mapping; None if the corpus does not know the file."""


@dataclass(frozen=True)
class _Sound:
    """What an audio file holds."""

    sha256: str
    seconds: float = 0.0
    rate_hz: int = 0
    channels: int = 0
    peak: float = 0.0
    reason: str = ""
    """Why it cannot be used, if it cannot."""


def inspect_corpus(
    folder: Path, source: str, parts: Sequence[Part] = WHOLE, *, report: Reporter = silent
) -> Inspection:
    """Looks at every file of a corpus folder.

    Args:
        folder: An unpacked corpus folder, prepared or not.
        source: Where it came from.
        parts: The corpora in it.
        report: Told of each file.

    Raises:
        CorpusError: If there is no audio at all.
    """
    facts, files, problems = [], list[_File](), list[str]()
    for part in parts:
        about, of_part, wrong = _recognise(folder, part)
        facts.append(about)
        files += of_part
        problems += [f"{part.name}: {problem}" if part.name else problem for problem in wrong]
    if not files and not any(about.left_out for about in facts):
        raise CorpusError("expected a corpus of audio files, found no audio inside")
    heard: dict[str, _Sound] = {}
    paths = [file.path for file in files]
    for path, sound in zip(paths, ordered_map(partial(_hear, folder), paths), strict=True):
        heard[path] = sound
        report(Progress("prepare", len(heard), len(files), "clips"))
    unreadable = {path: sound.reason for path, sound in heard.items() if sound.reason}
    problems += list(unreadable.values())
    usable = [file for file in files if file.utterance and file.path not in unreadable]
    return _inspection(source, facts, files, usable, heard, problems)


def _recognise(folder: Path, part: Part) -> tuple[PartFacts, list[_File], list[str]]:
    """What a part is taken for, its files without those left out, and what is wrong with names and manifests."""
    here = part.folder(folder)
    paths, problems, scheme, title = audio_files(here), list[str](), "", "no known corpus"
    try:
        scheme, reading = recognise(here, paths)
        corpus = CORPORA.get(scheme)
        title, problems = corpus.title, list(reading.problems)
        strangers = [path for path, one in zip(paths, reading.utterances, strict=True) if one is None]
        if strangers:
            problems.append(f"{len(strangers)} of {len(paths)} audio files {not_known(scheme)}: {listed(strangers)}")
        repeated = repeated_names(paths) if corpus.names_are_unique else []
        if repeated:
            problems.append(f"{len(repeated)} file names come in several folders: {listed(repeated)}")
        part.check_labels([one.emotion for one in reading.utterances if one])
    except CorpusError as error:
        problems.append(str(error))
        reading = reading if scheme else Reading((None,) * len(paths))
    files = []
    for path, utterance in zip(paths, reading.utterances, strict=True):
        adapted = part.adapt(utterance) if utterance else None
        if utterance is None or adapted is not None:
            name = path if not part.name else f"{part.name}/{path}"
            files.append(_File(name, part.name or scheme, adapted))
    return PartFacts(part.name, scheme, title, len(paths), len(paths) - len(files)), files, problems


def _hear(folder: Path, path: str) -> _Sound:
    data = (folder / AUDIO_FOLDER / path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    try:
        recording = decode(data, name=path)
    except SerError as error:
        return _Sound(digest, reason=str(error))
    peak = float(np.max(np.abs(recording.samples)))
    return _Sound(digest, recording.seconds, recording.source_rate_hz, recording.source_channels, peak)


def _inspection(
    source: str,
    facts: Sequence[PartFacts],
    files: Sequence[_File],
    usable: Sequence[_File],
    heard: dict[str, _Sound],
    problems: Sequence[str],
) -> Inspection:
    utterances = [file.utterance for file in usable if file.utterance]
    sounds = [heard[file.path] for file in usable]
    labels = [one.emotion for one in utterances]
    speakers, texts = [one.speaker for one in utterances], [one.text for one in utterances]
    corpora = [file.corpus for file in usable]
    by_speaker: dict[str, Counter[str]] = defaultdict(Counter)
    for one in utterances:
        by_speaker[one.speaker][one.emotion] += 1
    seconds = [sound.seconds for sound in sounds] or [0.0]
    feasible = protocols(labels, speakers, texts, corpora)
    holdout = feasible[0]
    single = tuple(sorted(label for label, count in Counter(labels).items() if count == 1))
    return Inspection(
        source=source,
        corpora=tuple(facts),
        recordings=len(usable),
        hours=round(sum(seconds) / 3600, 3),
        seconds={
            "min": round(min(seconds), 3),
            "mean": round(sum(seconds) / len(seconds), 3),
            "max": round(max(seconds), 3),
        },
        sample_rates_hz=_counts(sound.rate_hz for sound in sounds),
        channels=_counts(sound.channels for sound in sounds),
        labels=_counts(labels),
        genders=_counts(one.gender for one in utterances),
        texts=_counts(texts),
        labels_by_speaker={speaker: dict(sorted(by_speaker[speaker].items())) for speaker in sorted(by_speaker)},
        problems=(*problems, *([holdout.reason] if holdout.verdict == "no" else [])),
        strangers=tuple(file.path for file in files if file.utterance is None),
        unreadable={path: sound.reason for path, sound in heard.items() if sound.reason},
        quiet=tuple(file.path for file in usable if heard[file.path].peak < QUIET_PEAK),
        duplicates=_duplicates(heard),
        single_file_labels=single,
        missing_combinations=tuple(
            (speaker, label)
            for speaker in sorted(by_speaker)
            for label in sorted(set(labels))
            if not is_unknown(speaker) and not by_speaker[speaker][label]
        ),
        confounding=(
            confounding("speaker", speakers, labels),
            confounding("text", texts, labels),
            *([confounding("corpus", corpora, labels)] if len(facts) > 1 else []),
        ),
        protocols=feasible,
    )


def _counts(values: Iterable[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(values).items()))


def _duplicates(heard: dict[str, _Sound]) -> tuple[tuple[str, ...], ...]:
    same: dict[str, list[str]] = defaultdict(list)
    for path, sound in heard.items():
        same[sound.sha256].append(path)
    return tuple(tuple(paths) for paths in same.values() if len(paths) > 1)
