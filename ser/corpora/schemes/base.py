"""What a corpus is to SER, and which corpus a set of files belongs to."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ser.errors import CorpusError
from ser.registry import Registry

UNKNOWN = "unknown"
"""The speaker, gender or text of a recording about which the corpus does not say it."""
_SHOWN = 5


def unknown_of(corpus: str) -> str:
    """The unknown speakers of one corpus of several: nobody knows who they are, but they are nobody of another's."""
    return f"{corpus}/{UNKNOWN}"


def is_unknown(value: str) -> bool:
    """Whether a speaker, gender, text or corpus is not known; see `UNKNOWN` and `unknown_of`."""
    return value in ("", UNKNOWN) or value.endswith(unknown_of(""))


@dataclass(frozen=True)
class Utterance:
    """What a corpus knows of one recording."""

    speaker: str
    """The speaker's identity within the corpus, or `UNKNOWN`."""
    gender: str
    """"female", "male", or `UNKNOWN`."""
    text: str
    """Which text is spoken, or `UNKNOWN`; recordings of the same text share it."""
    emotion: str
    """The label: in built-in corpora an English noun in lower case, as "anger"; in others whatever they say."""


@dataclass(frozen=True)
class Reading:
    """What a corpus makes of a set of files."""

    utterances: tuple[Utterance | None, ...]
    """One a path, in their order; None for a file that the corpus does not know."""
    problems: tuple[str, ...] = ()
    """What is wrong with the corpus's own files, each with file, row and column."""


class Evidence(enum.IntEnum):
    """What a corpus goes by; a set of files is taken for the corpus with the strongest."""

    FOLDERS = 1
    """Folders that may be labels, where nothing else is known."""
    NAMES = 2
    """Names that follow a published scheme."""
    MANIFEST = 3
    """A file that says what each recording is."""


class Corpus:
    """One corpus, or one way to describe a corpus; overrides `parse`, or `read`."""

    title: ClassVar[str]
    """Name and source, for messages and reports."""
    evidence: ClassVar[Evidence] = Evidence.NAMES
    """What it goes by."""
    names_are_unique: ClassVar[bool] = True
    """Whether a file's name alone tells which recording it is, so that a name in two folders is one recording twice."""

    def parse(self, path: str) -> Utterance | None:
        """What a file's path, relative to the corpus folder and with forward slashes, says of it.

        Returns:
            None if the path does not follow the scheme.
        """
        del path
        return None

    def read(self, folder: Path, paths: Sequence[str]) -> Reading | None:
        """What the corpus makes of a folder; by names, unless a corpus has files that say more.

        Args:
            folder: The corpus folder.
            paths: Paths of all audio files in it, relative to it.

        Returns:
            None if the folder is not of this corpus: it knows none of the files.
        """
        del folder
        utterances = tuple(self.parse(path) for path in paths)
        return Reading(utterances) if any(utterances) else None


CORPORA: Registry[type[Corpus]] = Registry("corpus", "ser.corpora.schemes", "ser.corpora")


def recognise(folder: Path, paths: Sequence[str]) -> tuple[str, Reading]:
    """Finds the corpus that a folder holds, whether or not it knows all of the files.

    Args:
        folder: The corpus folder.
        paths: Paths of all audio files in it, relative to it.

    Returns:
        The corpus's registered name and what it makes of the files. Of corpora with the same evidence it is the one
        that knows most files.

    Raises:
        CorpusError: If there is no file, or no corpus knows any of them.
    """
    if not paths:
        raise CorpusError("expected a corpus of audio files, found no audio inside")
    best: tuple[tuple[int, int], str, Reading] | None = None
    for name in CORPORA.names():
        corpus = CORPORA.get(name)
        reading = corpus().read(folder, paths)
        if reading is not None:
            strength = corpus.evidence, sum(utterance is not None for utterance in reading.utterances)
            if best is None or strength > best[0]:
                best = strength, name, reading
    if best is None:
        raise CorpusError(
            f"the names of the audio files follow no known corpus, as {paths[0]!r}; known: "
            f"{', '.join(CORPORA.names())}. Put a labels.csv beside them, or the files of each label into a folder of "
            "its name"
        )
    return best[1], best[2]


def identify(folder: Path, paths: Sequence[str]) -> tuple[str, list[Utterance]]:
    """Finds the corpus that a folder holds, and what it says of each file.

    Args:
        folder: The corpus folder.
        paths: Paths of all audio files in it, relative to it.

    Returns:
        The corpus's registered name and an utterance for each path.

    Raises:
        CorpusError: As `recognise`; if the corpus's own files are wrong; or if it does not know all audio files.
    """
    name, reading = recognise(folder, paths)
    if reading.problems:
        raise CorpusError(listed(reading.problems, separator="; "))
    strangers = [path for path, utterance in zip(paths, reading.utterances, strict=True) if utterance is None]
    if strangers:
        raise CorpusError(f"{len(strangers)} of {len(paths)} audio files {not_known(name)}: {listed(strangers)}")
    return name, [utterance for utterance in reading.utterances if utterance is not None]


def not_known(name: str) -> str:
    """What is to be said of files that a corpus does not know."""
    match CORPORA.get(name).evidence:
        case Evidence.MANIFEST:
            return "are not in the manifest"
        case Evidence.NAMES:
            return f"do not follow {name}'s naming"
        case _:
            return "are in no folder that could be their label"


def listed(items: Sequence[str], *, separator: str = ", ") -> str:
    """The first few of many."""
    more = len(items) - _SHOWN
    return separator.join([*items[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
