"""A CSV that says what each recording is: any labels, any names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ser.corpora.schemes.base import CORPORA, UNKNOWN, Corpus, Evidence, Reading, Utterance
from ser.corpora.schemes.table import (
    FILE_COLUMNS,
    GENDER_COLUMNS,
    LABEL_COLUMNS,
    SPEAKER_COLUMNS,
    TEXT_COLUMNS,
    Files,
    Table,
    files_named,
    gender_of,
    read_table,
)
from ser.errors import CorpusError

NAMES = ("labels.csv", "metadata.csv")
"""What the manifest may be called; it may lie in any folder, and there may be several."""


@CORPORA.register()
class LabelsCSV(Corpus):
    """Columns `file` (or `path`, `file_name`) and `emotion` (or `label`), and optionally `speaker`, `gender`, `text`.

    Files are relative to the CSV's folder. Columns of other names are not looked at.
    """

    title = f"a manifest: {' or '.join(NAMES)}"
    evidence = Evidence.MANIFEST
    names_are_unique = False

    def read(self, folder: Path, paths: Sequence[str]) -> Reading | None:
        """See `Corpus.read`. A CSV with neither column is about something else."""
        files, first = Files(paths), dict[str, str]()
        found: dict[str, Utterance] = {}
        ours = False
        for name in files_named(folder, NAMES):
            try:
                table = read_table(folder, name)
            except CorpusError as error:
                files.problems.append(str(error))
                ours = True
                continue
            missing = [names for names in (FILE_COLUMNS, LABEL_COLUMNS) if table.column(names) is None]
            if len(missing) == 2:
                continue
            ours = True
            files.problems += table.problems
            if missing:
                expected, got = " or ".join(missing[0]), ", ".join(table.columns)
                files.problems.append(f"{name}, row 1: expected a column {expected}, got {got}")
                continue
            self._read(table, files, found, first)
        return Reading(tuple(found.get(path) for path in paths), tuple(files.problems)) if ours else None

    def _read(self, table: Table, files: Files, found: dict[str, Utterance], first: dict[str, str]) -> None:
        """Adds what a table says to `found`; `first` has where a file came first."""
        for row in table.rows:
            path, label = files.find(row, table.path), files.label(row)
            if path is None or not label:
                continue
            if path in first:
                column = row.cell(FILE_COLUMNS)[0]
                files.problems.append(f"{row.place}, column {column}: {path!r} comes twice, first in {first[path]}")
                continue
            first[path] = row.place
            found[path] = Utterance(
                speaker=files.value(row, SPEAKER_COLUMNS) or UNKNOWN,
                gender=gender_of(files.value(row, GENDER_COLUMNS)),
                text=files.value(row, TEXT_COLUMNS) or UNKNOWN,
                emotion=label,
            )
