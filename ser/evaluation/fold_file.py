"""A file of folds: splits that somebody published, so that figures can be set beside theirs.

a CSV                    columns `file` and `fold`: each recording is tested in its fold; or `file` and a column of
                         one's own, whose values keep recordings together
EmoBox's folder, or zip  fold_1/<corpus>_train_fold_1.jsonl and fold_1/<corpus>_test_fold_1.jsonl, and so on; a
                         line a recording, of which `wav` counts (https://github.com/emo-box/EmoBox)
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ser.corpora.schemes.table import FILE_COLUMNS, Row, read_table
from ser.errors import ConfigError, CorpusError, FieldViolation, NotFoundError
from ser.progress import silent
from ser.sources import open_source
from ser.sources.local import LocalSource
from ser.storage import archive
from ser.storage.archive import Limits
from ser.storage.files import sha256
from ser.storage.strict_json import fingerprint, parse_json

FOLD = "fold"
"""The column of a CSV that says in which fold a recording is tested."""
_LIMITS = Limits(max_download_bytes=256 << 20, max_unpacked_bytes=1 << 30, max_files=100_000)
_LIST = re.compile(r"(?:.*_)?(train|test)_fold_?(\d+)\.jsonl")


@dataclass(frozen=True)
class FoldFile:
    """What a file of folds says."""

    name: str
    """What to call it in messages."""
    digest: str
    """Of its content."""
    rows: tuple[Row, ...] = ()
    """Of a CSV."""
    lists: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Of EmoBox's folder: number of a fold to "train" and "test" to the paths of recordings."""

    def folds(self, names: Sequence[str]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Name, training part and test part of each fold; files that are not in the corpus are left out.

        Args:
            names: Of all recordings of the corpus.

        Raises:
            CorpusError: If a CSV does not say the fold of a recording; if a list has no recording of the corpus, one on
                both sides, or one that another fold tests as well.
        """
        if not self.lists:
            return self._of_column(self.column(FOLD, names))
        tested: dict[str, str] = {}
        found = []
        for number, parts in self.lists.items():
            train, test = (self._recordings(number, part, paths, names) for part, paths in parts.items())
            if twice := sorted(test & (train | tested.keys())):
                where = "to be learnt from" if twice[0] in train else f"in fold {tested[twice[0]]}"
                raise CorpusError(f"{self.name}: fold {number} tests {twice[0]}, which is also {where}")
            tested |= dict.fromkeys(test, number)
            found.append((f"fold {number}", tuple(sorted(train)), tuple(sorted(test))))
        return found

    def column(self, column: str, names: Sequence[str]) -> dict[str, str]:
        """What a column of a CSV says of each recording.

        Args:
            column: Its name, in any case.
            names: Of all recordings of the corpus.

        Raises:
            CorpusError: If it says nothing of one, or different things.
        """
        found, known = dict[str, str](), frozenset(names)
        for row in self.rows:
            if column.lower() not in row.cells:
                raise CorpusError(f"{self.name}: expected a column {column}, got {', '.join(row.cells)}")
            value, name = row.cells[column.lower()], _named(row.cell(FILE_COLUMNS)[1], known)
            if name is not None:
                if not value or found.get(name, value) != value:
                    raise CorpusError(f"{row.place}, column {column}: expected one value for {name}, got {value!r}")
                found[name] = value
        if lacking := [name for name in names if name not in found]:
            raise CorpusError(
                f"{self.name}: expected the {column} of every recording, it is not said of {len(lacking)} of "
                f"{len(names)}, as {lacking[0]}"
            )
        return found

    @staticmethod
    def _of_column(fold_of: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        found = []
        for value in sorted(set(fold_of.values())):
            test = {name for name, fold in fold_of.items() if fold == value}
            found.append((f"fold {value}", tuple(sorted(fold_of.keys() - test)), tuple(sorted(test))))
        return found

    def _recordings(self, number: str, part: str, paths: Sequence[str], names: Sequence[str]) -> set[str]:
        known = frozenset(names)
        found = {name for path in paths if (name := _named(path, known)) is not None}
        if not found:
            got = f"{len(paths)} others, as {paths[0]!r}" if paths else "no list"
            raise CorpusError(f"{self.name}: fold {number}, {part}: expected recordings of this corpus, got {got}")
        return found


def read_fold_file(address: str) -> FoldFile:
    """Reads a file of folds.

    Args:
        address: A path, `file://`, or `http(s)://`, of a CSV, a zip, or (here alone) a folder.

    Raises:
        ConfigError: If the address is of no known form.
        NotFoundError: If there is no such file.
        DownloadError: If it cannot be had whole.
        ArchiveError: If it is a zip that must not be unpacked.
        CorpusError: If it is no file of folds.
    """
    try:
        source = open_source(address)
    except ConfigError as error:
        raise ConfigError([FieldViolation("fold_file", one.description) for one in error.violations]) from None
    if isinstance(source, LocalSource) and not source.path.exists():
        raise NotFoundError(f"fold_file: {source.path}: no such file")
    if isinstance(source, LocalSource) and source.path.is_dir():
        return _of_folder(source.path, source.description)
    with tempfile.TemporaryDirectory() as temporary:
        fetched = Path(temporary, PurePosixPath(source.description).name or "folds")
        unpacked = Path(temporary, "unpacked", "folder")
        source.fetch(fetched, max_bytes=_LIMITS.max_download_bytes, report=silent)
        if not zipfile.is_zipfile(fetched):
            return _of_table(fetched)
        unpacked.mkdir(parents=True)
        archive.unpack(fetched, unpacked, _LIMITS, silent)
        return _of_folder(unpacked, source.description)


def _of_table(path: Path) -> FoldFile:
    table = read_table(path.parent, path.name)
    if table.problems:
        raise CorpusError(table.problems[0])
    if table.column(FILE_COLUMNS) is None or not table.rows:
        got = f"{len(table.rows)} rows of {', '.join(table.columns) or 'nothing'}"
        raise CorpusError(f"{path.name}: expected rows with a column file, and {FOLD} or one of your own, got {got}")
    return FoldFile(path.name, sha256(path), rows=table.rows)


def _of_folder(folder: Path, name: str) -> FoldFile:
    lists: dict[str, dict[str, tuple[str, ...]]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        if (kind := _LIST.fullmatch(path.name)) is not None:
            of_fold = lists.setdefault(kind[2], {"train": (), "test": ()})
            of_fold[kind[1]] += tuple(_paths(path, name))
    if not lists:
        raise CorpusError(f"{name}: expected files as fold_1/emodb_test_fold_1.jsonl, got none")
    return FoldFile(name, fingerprint(lists), lists=lists)


def _paths(path: Path, name: str) -> Iterable[str]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            where = f"{name}: {path.name}, line {number}"
            entry = parse_json(line, where)
            if not isinstance(entry, dict) or not isinstance(entry.get("wav"), str):
                raise CorpusError(f"{where}: expected an object with wav, the path of a recording")
            yield entry["wav"]


def _named(path: str, names: Collection[str]) -> str | None:
    """The recording that a path ends with: what lies in front of a corpus's folder differs from machine to machine."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return next((name for start in range(len(parts)) if (name := "/".join(parts[start:])) in names), None)
