"""audformat, in which audEERING publishes corpora (EmoDB 1.4 among them): a db.yaml and a db.<table>.csv a table.

The specification is at https://audeering.github.io/audformat/; tables as Parquet or pickles are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

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
from ser.storage.yaml_file import parse_yaml

HEADER = "db.yaml"
_KINDS = (LABEL_COLUMNS, SPEAKER_COLUMNS, GENDER_COLUMNS, TEXT_COLUMNS)


@CORPORA.register()
class Audformat(Corpus):
    """Filewise tables with a column `emotion`, and where they are `speaker`, `gender` and `transcription`.

    A table called `emotion` decides the labels where it is there: others may hold parts of it. The genders of the
    speakers are also found in the scheme of the column `speaker`, or in the table that the scheme names.
    """

    title = "audformat"
    evidence = Evidence.MANIFEST
    names_are_unique = False

    def read(self, folder: Path, paths: Sequence[str]) -> Reading | None:
        """See `Corpus.read`."""
        headers = files_named(folder, [HEADER])
        if not headers:
            return None
        files, found = Files(paths), dict[str, Utterance]()
        try:
            if len(headers) > 1:
                raise CorpusError(f"expected one {HEADER}, got {', '.join(headers)}")
            found = _utterances(_Database(folder, headers[0]), files)
        except CorpusError as error:
            files.problems.append(str(error))
        return Reading(tuple(found.get(path) for path in paths), tuple(files.problems))


class _Database:
    """The header of a database and its tables."""

    def __init__(self, folder: Path, header: str) -> None:
        self.header = header
        self._folder = folder
        try:
            content = parse_yaml((folder / header).read_bytes())
        except ValueError as error:
            raise CorpusError(f"{header}: expected YAML: {error}") from None
        self._content = _mapping(content)
        self.tables = {str(name): _mapping(table) for name, table in _mapping(self._content.get("tables")).items()}
        if not self.tables:
            raise CorpusError(f"{header}: expected tables, got none")

    def read(self, name: str) -> Table:
        """Reads a table."""
        path = (PurePosixPath(self.header).parent / f"db.{name}.csv").as_posix()
        if "/" in name or "\\" in name or not (self._folder / path).is_file():
            raise CorpusError(f"{self.header}: table {name!r}: there is no {path}; save the database as CSV")
        return read_table(self._folder, path)

    def columns(self, name: str) -> set[str]:
        """The columns of a filewise table, in lower case; of others none."""
        table = self.tables[name]
        filewise = table.get("type", "filewise") == "filewise"
        return {str(column).lower() for column in _mapping(table.get("columns"))} if filewise else set()

    def speaker_genders(self) -> dict[str, str]:
        """Speaker to gender, as far as the scheme of the speakers says it."""
        labels = _mapping(_mapping(self._content.get("schemes")).get("speaker")).get("labels")
        if isinstance(labels, str):
            rows = self.read(labels).rows
            return {next(iter(row.cells.values())): row.cell(GENDER_COLUMNS)[1] for row in rows}
        found = {str(speaker): _mapping(facts).get("gender") for speaker, facts in _mapping(labels).items()}
        return {speaker: gender for speaker, gender in found.items() if isinstance(gender, str)}


def _utterances(database: _Database, files: Files) -> dict[str, Utterance]:
    """What the tables say of each file."""
    labelled = [name for name in database.tables if not database.columns(name).isdisjoint(LABEL_COLUMNS)]
    if not labelled:
        expected, known = " or ".join(LABEL_COLUMNS), ", ".join(database.tables)
        raise CorpusError(f"{database.header}: expected a filewise table with a column {expected}, got tables {known}")
    labelled = ["emotion"] if "emotion" in labelled else labelled
    facts: dict[str, dict[Sequence[str], tuple[str, str]]] = {}
    for name in database.tables:
        kinds = [kind for kind in _KINDS if not database.columns(name).isdisjoint(kind)]
        if name not in labelled:
            kinds = [kind for kind in kinds if kind is not LABEL_COLUMNS]
        if kinds:
            _collect(database.read(name), kinds, files, facts)
    genders = database.speaker_genders()
    found = {}
    for path, of_path in facts.items():
        label, speaker, gender, text = (of_path.get(kind, ("", ""))[0] for kind in _KINDS)
        if label:
            found[path] = Utterance(
                speaker=speaker or UNKNOWN,
                gender=gender_of(gender or genders.get(speaker, "")),
                text=text or UNKNOWN,
                emotion=label,
            )
    return found


def _collect(
    table: Table,
    kinds: Sequence[Sequence[str]],
    files: Files,
    facts: dict[str, dict[Sequence[str], tuple[str, str]]],
) -> None:
    """Adds to the facts of each file what a table has of some kinds: the value, and where it is from."""
    files.problems += table.problems
    if table.column(FILE_COLUMNS) is None:
        raise CorpusError(f"{table.path}, row 1: expected a column file, got {', '.join(table.columns)}")
    for row in table.rows:
        path = files.find(row, table.path)
        if path is None:
            continue
        of_path = facts.setdefault(path, {})
        for kind in kinds:
            value = files.label(row) if kind is LABEL_COLUMNS else files.value(row, kind)
            before, place = of_path.setdefault(kind, (value, row.place))
            if before != value:
                column = row.cell(kind)[0]
                files.problems.append(
                    f"{row.place}, column {column}: {path!r} is {value!r} here, and {before!r} in {place}"
                )


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
