"""Tables in CSV that describe recordings: reading them, and holding them against the files that are there."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ser.corpora.schemes.base import UNKNOWN
from ser.errors import CorpusError

FILE_COLUMNS = ("file", "path", "file_name", "filename")
"""Names of the column with the audio file, relative to the table's folder."""
LABEL_COLUMNS = ("emotion", "label")
SPEAKER_COLUMNS = ("speaker", "speaker_id")
GENDER_COLUMNS = ("gender", "sex")
TEXT_COLUMNS = ("text", "transcription")
_GENDERS = {"f": "female", "m": "male", "": UNKNOWN}
_LONGEST = 200


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    place: str
    """File and row, the header being row 1, as "labels.csv, row 2"."""
    cells: Mapping[str, str]
    """Column, in lower case, to cell, without white space around."""

    def cell(self, columns: Sequence[str]) -> tuple[str, str]:
        """The first of some columns that the table has, and the cell there; two empty strings if it has none."""
        return next(((column, self.cells[column]) for column in columns if column in self.cells), ("", ""))


@dataclass(frozen=True)
class Table:
    """A table of recordings."""

    path: str
    """Relative to the corpus folder."""
    columns: tuple[str, ...]
    """In lower case."""
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    """Rows that are no rows."""

    def column(self, names: Sequence[str]) -> str | None:
        """Which of some names the table has as a column."""
        return next((name for name in names if name in self.columns), None)


def read_table(folder: Path, path: str) -> Table:
    """Reads a CSV of UTF-8 with a header.

    Raises:
        CorpusError: If it is none.
    """
    rows, problems = [], []
    try:
        with (folder / path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = tuple(column.strip().lower() for column in next(reader, []))
            for number, values in enumerate(reader, start=2):
                if len(values) == len(columns):
                    row = dict(zip(columns, (value.strip() for value in values), strict=True))
                    rows.append(Row(f"{path}, row {number}", row))
                elif values:
                    problems.append(f"{path}, row {number}: expected {len(columns)} columns, got {len(values)}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: expected a CSV in UTF-8: {error}") from None
    return Table(path, columns, tuple(rows), tuple(problems))


def files_named(folder: Path, names: Sequence[str]) -> list[str]:
    """Paths of all files below a folder that have one of some names, relative to it, sorted; none that is hidden."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.name in names and path.is_file() and not any(part[0] == "." or part == "__MACOSX" for part in parts):
            found.append("/".join(parts))
    return sorted(found)


class Files:
    """The audio files of a corpus, looked up by what tables call them.

    Attributes:
        problems: What was wrong so far.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._known = frozenset(paths)
        self.problems: list[str] = []

    def find(self, row: Row, table: str) -> str | None:
        """The path of the file that a row is about; None, and a problem, if there is no such audio file."""
        column, cell = row.cell(FILE_COLUMNS)
        path = PurePosixPath(cell.replace("\\", "/"))
        if not cell:
            reason = "is empty"
        elif path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", cell):
            reason = f"leads out of the corpus: {cell!r}"
        else:
            found = (PurePosixPath(table).parent / path).as_posix()
            if found in self._known:
                return found
            reason = f"there is no audio file {found!r}"
        self.problems.append(f"{row.place}, column {column}: {reason}")
        return None

    def value(self, row: Row, columns: Sequence[str]) -> str:
        """A cell that goes into the manifest; empty if there is none, and a problem if it cannot be shown."""
        column, cell = row.cell(columns)
        if len(cell) <= _LONGEST and cell.isprintable():
            return cell
        self.problems.append(
            f"{row.place}, column {column}: expected at most {_LONGEST} printable characters, got {cell[:40]!r}"
        )
        return ""

    def label(self, row: Row) -> str:
        """The label of a row; empty, and a problem, if there is none."""
        label = self.value(row, LABEL_COLUMNS)
        column, cell = row.cell(LABEL_COLUMNS)
        if not cell:
            self.problems.append(f"{row.place}, column {column}: is empty")
        return label


def gender_of(cell: str) -> str:
    """A gender as the corpora have it: "female", "male", `UNKNOWN`, or another word."""
    word = cell.lower()
    return _GENDERS.get(word, word)
