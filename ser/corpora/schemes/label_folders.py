"""A folder a label, where no scheme knows the names and no manifest is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ser.corpora.schemes.base import CORPORA, UNKNOWN, Corpus, Evidence, Reading, Utterance


@CORPORA.register()
class LabelFolders(Corpus):
    """Paths like `anything/<label>/<file>`: the folder that a file lies in is its label.

    Who speaks and what is said is unknown. Folders above the label's are not looked at: whether they are speakers,
    sessions or parts, nothing tells; a labels.csv can.
    """

    title = "a folder a label"
    evidence = Evidence.FOLDERS
    names_are_unique = False

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        label = PurePosixPath(path).parent.name
        return Utterance(UNKNOWN, UNKNOWN, UNKNOWN, label) if label else None

    def read(self, folder: Path, paths: Sequence[str]) -> Reading | None:
        """See `Corpus.read`. Files that are all in one folder have no label: it is just where they are."""
        reading = super().read(folder, paths)
        labels = {utterance.emotion for utterance in reading.utterances if utterance} if reading else set()
        return reading if len(labels) > 1 else None
