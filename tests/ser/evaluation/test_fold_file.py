"""Files of folds: what they may look like, and how they are held against a corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ser.errors import ConfigError, CorpusError, DamagedError, DownloadError, NotFoundError, SerError
from ser.evaluation.fold_file import read_fold_file
from ser.evaluation.split import Protocol, folds
from ser.features.feature_set import Sample

GRID = [
    Sample(f"{speaker}{text}{emotion}.wav", speaker, "female", text, emotion, 1.0, 2)
    for speaker in ("s1", "s2", "s3")
    for text in ("t1", "t2")
    for emotion in ("anger", "sadness")
]
NAMES = [sample.name for sample in GRID]


def csv(path: Path, rows: dict[str, str], header: str = "file,fold") -> str:
    path.write_text("\n".join([header, *(f"{name},{value}" for name, value in rows.items())]) + "\n")
    return str(path)


def emobox(folder: Path, parts: dict[str, list[str]]) -> Path:
    """`1/test` to recordings: lists as EmoBox has them, with more in a line than is looked at."""
    for place, names in parts.items():
        number, part = place.split("/")
        path = folder / f"fold_{number}" / f"grid_{part}_fold_{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"key": f"grid-{name[:-4]}", "wav": f"downloads/grid/wav/{name}", "emo": "x"} for name in names]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "label_map.json").write_text("{}")
    return folder


def test_a_csv_says_in_which_fold_a_recording_is_tested(tmp_path: Path) -> None:
    fold_of = {name: {"s1": "x", "s2": "y", "s3": "x"}[name[:2]] for name in NAMES}
    file = csv(tmp_path / "folds.csv", {**{f"wav/{name}": fold for name, fold in fold_of.items()}, "other.wav": "z"})
    found = folds(GRID, Protocol.KFOLD, fold_file=read_fold_file(file))
    assert [fold.name for fold in found] == ["fold x", "fold y"]
    for fold in found:
        assert set(fold.test) == {name for name in NAMES if f"fold {fold_of[name]}" == fold.name}
        assert set(fold.training) == set(NAMES) - set(fold.test)


def test_a_column_of_one_s_own_keeps_recordings_together(tmp_path: Path) -> None:
    session = {name: f"{name[:2]}-{'early' if 't1' in name else 'late'}" for name in NAMES}
    file = read_fold_file(csv(tmp_path / "labels.csv", session, "path,Session"))
    found = folds(GRID, Protocol.KFOLD, count=3, group="SESSION", fold_file=file)
    assert [len(fold.test) for fold in found] == [4, 4, 4]
    for fold in found:
        assert not {session[name] for name in fold.test} & {session[name] for name in fold.training}
    with pytest.raises(CorpusError, match=r"labels.csv: expected a column fold, got path, session"):
        folds(GRID, Protocol.KFOLD, fold_file=file)


@pytest.mark.parametrize("form", ["folder", "zip", "http"])
def test_emobox_says_both_sides(form: str, tmp_path: Path) -> None:
    first, second, rest = NAMES[:4], NAMES[4:8], NAMES[8:]
    folder = emobox(
        tmp_path / "grid", {"1/train": rest, "1/valid": second, "1/test": first, "10/train": rest, "10/test": second}
    )
    address = str(folder) if form == "folder" else shutil.make_archive(str(folder), "zip", folder)
    if form == "http":
        with pytest.raises(DownloadError):  # nobody listens there
            read_fold_file("http://127.0.0.1:9/grid.zip")
    file = read_fold_file(address)
    found = folds(GRID, Protocol.KFOLD, fold_file=file)
    assert [fold.name for fold in found] == ["fold 1", "fold 10"]
    assert [set(fold.test) for fold in found] == [set(first), set(second)]
    assert [set(fold.training) for fold in found] == [set(rest), set(rest)]
    assert file.digest == read_fold_file(str(folder)).digest


def test_a_recording_is_known_by_the_longest_end_of_its_path(tmp_path: Path) -> None:
    corpus = [
        Sample(name, "s", "female", "t", emotion, 1.0, 1)
        for name, emotion in (("DC/a.wav", "x"), ("JE/a.wav", "x"), ("b.wav", "y"), ("c.wav", "y"))
    ]
    rows = {"/data/DC/a.wav": "1", "/data/JE/a.wav": "2", "/data/JE/b.wav": "1", "c.wav": "2"}
    found = folds(corpus, Protocol.KFOLD, fold_file=read_fold_file(csv(tmp_path / "f.csv", rows)))
    assert [fold.test for fold in found] == [("DC/a.wav", "b.wav"), ("JE/a.wav", "c.wav")]


HALVES = dict.fromkeys(NAMES[6:], "1") | dict.fromkeys(NAMES[:6], "2")


def rows(*pairs: tuple[str, str]) -> str:
    return "file,fold\n" + "".join(f"{name},{value}\n" for name, value in pairs)


def all_in(fold: str) -> list[tuple[str, str]]:
    return [(name, fold) for name in NAMES]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ({"1/test": NAMES[:4], "1/train": NAMES[3:]}, CorpusError, "fold 1 tests s1t2sadness.wav, which is also to"),
        (
            {"1/test": NAMES[:4], "1/train": NAMES[8:], "2/test": NAMES[3:5], "2/train": NAMES[8:]},
            CorpusError, r"fold 2 tests s1t2sadness.wav, which is also in fold 1",
        ),
        ({"1/test": NAMES[:4]}, CorpusError, "fold 1, train: expected recordings of this corpus, got no list"),
        ({"1/test": ["a.wav"], "1/train": NAMES}, CorpusError, "got 1 others, as 'downloads/grid/wav/a.wav'"),
        ({}, CorpusError, "folds: expected files as fold_1/emodb_test_fold_1.jsonl, got none"),
        ("nonsense", CorpusError, "folds: expected rows with a column file, .* got 0 rows of nonsense"),
        ("file,fold\n", CorpusError, "got 0 rows of file, fold"),
        ("name,fold\na,1\n", CorpusError, "got 1 rows of name, fold"),
        ("file,fold\na.wav\n", CorpusError, "folds, row 2: expected 2 columns, got 1"),
        (rows(*all_in("1")[1:]), CorpusError, "folds: expected the fold .*not said of 1 of 12, as s1t1anger.wav"),
        (rows(*all_in("")), CorpusError, "row 2, column fold: expected one value for s1t1anger.wav, got ''"),
        (rows(*HALVES.items(), (NAMES[0], "1")), CorpusError, "row 14, column fold: expected one value for s1t1anger"),
        (rows(*all_in("1")), CorpusError, "fold 1: .*none of anger, sadness"),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_wrong_with_a_file_of_folds_is_told(
    content: str | dict[str, list[str]], kind: type[SerError], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "folds"
    if isinstance(content, str):
        path.write_text(content)
    else:
        path.mkdir()
        emobox(path, content)
    with pytest.raises(kind, match=message):
        folds(GRID, Protocol.KFOLD, fold_file=read_fold_file(str(path)))


def test_addresses_and_lines_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"fold_file: .*none.csv: no such file"):
        read_fold_file(str(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match="fold_file: expected http://, .*got 'gopher://x'"):
        read_fold_file("gopher://x")
    folder = emobox(tmp_path / "grid", {"1/test": NAMES, "1/train": NAMES})
    list_of_test = folder / "fold_1" / "grid_test_fold_1.jsonl"
    list_of_test.write_text('{"key": "a"}\n')
    with pytest.raises(CorpusError, match=r"grid: grid_test_fold_1.jsonl, line 1: expected an object with wav"):
        read_fold_file(str(folder))
    list_of_test.write_text('{"wav": "a.wav"}\n\n{\n')
    with pytest.raises(DamagedError, match="line 3"):
        read_fold_file(str(folder))
