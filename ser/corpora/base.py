"""What a corpus is to SER, and which corpus a set of files belongs to."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from ser.errors import CorpusError
from ser.registry import Registry


@dataclass(frozen=True)
class Utterance:
    """What a corpus knows of one recording."""

    speaker: str
    """The speaker's identity within the corpus."""
    gender: str
    """"female", "male", or "unknown"."""
    text: str
    """Which text is spoken; recordings of the same text share it."""
    emotion: str
    """The label, an English noun in lower case, as "anger"."""


class Corpus(abc.ABC):
    """The naming scheme of one corpus."""

    title: str
    """Name and source, for messages and reports."""

    @abc.abstractmethod
    def parse(self, path: str) -> Utterance | None:
        """What a file's path, relative to the corpus folder and with forward slashes, says of it.

        Returns:
            None if the path does not follow the scheme.
        """


CORPORA: Registry[type[Corpus]] = Registry("corpus", "ser.corpora")


def identify(paths: Sequence[str]) -> tuple[str, list[Utterance]]:
    """Finds the corpus that a set of audio files belongs to.

    Args:
        paths: Paths of all audio files, relative to the corpus folder.

    Returns:
        The corpus's registered name and an utterance for each path.

    Raises:
        CorpusError: If there is no file, no corpus knows any of the names, or the best one does not know all.
    """
    if not paths:
        raise CorpusError("expected a corpus of audio files, found no audio inside")
    parsed = {name: [CORPORA.get(name)().parse(path) for path in paths] for name in CORPORA.names()}
    best = max(parsed, key=lambda name: sum(utterance is not None for utterance in parsed[name]))
    strangers = [path for path, utterance in zip(paths, parsed[best], strict=True) if utterance is None]
    if len(strangers) == len(paths):
        raise CorpusError(
            f"the names of the audio files follow no known corpus, as {paths[0]!r}; known: {', '.join(CORPORA.names())}"
        )
    if strangers:
        shown = ", ".join(strangers[:5]) + (", …" if len(strangers) > 5 else "")
        raise CorpusError(f"{len(strangers)} of {len(paths)} audio files do not follow {best}'s naming: {shown}")
    return best, [utterance for utterance in parsed[best] if utterance is not None]
