"""Manifests: labels.csv and audformat, well-formed and hostile."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser.corpora.schemes.base import Utterance, identify, recognise
from ser.errors import CorpusError

PATHS = ["03a01Fa.wav", "b/one.wav", "b/two.flac"]
HEADER = "file,emotion,speaker,gender,text\n"
GOOD = HEADER + '03a01Fa.wav,joy,ann,F,"hello, you"\nb/one.wav,rage,bob,male,\nb\\two.flac,joy,,,x\n'

DB = """\
name: emodb
schemes:
  emotion: {dtype: str, labels: [anger, happiness]}
  speaker: {dtype: int, labels: speaker}
tables:
  emotion:
    type: filewise
    columns:
      emotion: {scheme_id: emotion, rater_id: gold}
      emotion.confidence: {scheme_id: confidence, rater_id: gold}
  emotion.categories.test.gold_standard:
    type: filewise
    columns: {emotion: {scheme_id: emotion}}
  files:
    type: filewise
    columns: {duration: {scheme_id: duration}, speaker: {scheme_id: speaker}, transcription: {}}
misc_tables:
  speaker: {levels: {speaker: int}, columns: {age: {scheme_id: age}, gender: {scheme_id: gender}}}
"""
EMOTION = "file,emotion,emotion.confidence\n03a01Fa.wav,happiness,0.9\nb/one.wav,anger,0.95\nb/two.flac,anger,1\n"
FILES = "file,duration,speaker,transcription\n03a01Fa.wav,,3,a01\nb/one.wav,,8,a02\nb/two.flac,,3,a01\n"
SPEAKERS = "speaker,age,gender,language\n3,31,male,deu\n8,34,female,deu\n"


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem.replace('__', '.')}.{suffix}").write_text(content, encoding="utf-8")
    return folder


def audformat(folder: Path, **changed: str) -> Path:
    files = {"db_yaml": DB, "db__emotion_csv": EMOTION, "db__files_csv": FILES, "db__speaker_csv": SPEAKERS}
    return write(folder, **{**files, **changed})


def test_a_csv_says_everything_and_takes_precedence_over_names(tmp_path: Path) -> None:
    name, utterances = identify(write(tmp_path, labels_csv=GOOD), PATHS)
    assert name == "LabelsCSV"
    assert utterances == [
        Utterance("ann", "female", "hello, you", "joy"),
        Utterance("bob", "male", "unknown", "rage"),
        Utterance("unknown", "unknown", "x", "joy"),
    ]


def test_a_csv_needs_two_columns_by_any_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", metadata_csv="\ufefffile_name,Label,split\none.wav,gioia,train\n./two.flac,rabbia,test\n")
    _, utterances = identify(tmp_path, PATHS[1:])  # relative to the CSV's folder
    assert [one.emotion for one in utterances] == ["gioia", "rabbia"]
    assert {one.speaker for one in utterances} == {"unknown"}


def test_a_csv_about_something_else_is_no_manifest(tmp_path: Path) -> None:
    assert identify(write(tmp_path, metadata_csv="ActorID,Sex\n3,Male\n"), PATHS[:1])[0] == "EmoDB"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "../../etc/passwd,joy,,,", r"labels.csv, row 2, column file: leads out of the corpus: '../../etc"),
        (HEADER + "/etc/passwd,joy,,,", r"labels.csv, row 2, column file: leads out of the corpus"),
        (HEADER + "C:\\x.wav,joy,,,", r"labels.csv, row 2, column file: leads out of the corpus"),
        (HEADER + "b\\..\\..\\x.wav,joy,,,", r"labels.csv, row 2, column file: leads out of the corpus"),
        (HEADER + "none.wav,joy,,,", r"labels.csv, row 2, column file: there is no audio file 'none.wav'"),
        (HEADER + ",joy,,,", r"labels.csv, row 2, column file: is empty"),
        (GOOD + "b/../b/one.wav,joy,,,", r"labels.csv, row 5, column file: leads out"),
        (GOOD + "./b/one.wav,rage,,,", r"labels.csv, row 5, column file: 'b/one.wav' comes twice, first in .*row 3"),
        (HEADER + "b/one.wav,,,,", r"labels.csv, row 2, column emotion: is empty"),
        (HEADER + f"b/one.wav,{'x' * 201},,,", r"row 2, column emotion: expected at most 200 printable characters"),
        (HEADER + "b/one.wav,a\x1b[31m,,,", r"row 2, column emotion: expected at most 200 printable characters"),
        (HEADER + "b/one.wav,joy", r"labels.csv, row 2: expected 5 columns, got 2"),
        ("file,speaker\nb/one.wav,x\n", r"labels.csv, row 1: expected a column emotion or label, got file, speaker"),
        ("emotion;file\nx;b/one.wav\n", r"follow EmoDB's naming"),  # no manifest: one column, of no known name
        (HEADER + 'b/one.wav,"joy', r"labels.csv: expected a CSV in UTF-8"),
        (GOOD.replace("b/one.wav,rage,bob,male,\n", ""), r"1 of 3 audio files are not in the manifest: b/one.wav"),
    ],
)
def test_a_csv_that_is_wrong_is_refused_by_row_and_column(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        identify(write(tmp_path, labels_csv=content), PATHS)


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(HEADER.encode() + "b/one.wav,Ärger,,,".encode("latin-1"))
    with pytest.raises(CorpusError, match="labels.csv: expected a CSV in UTF-8"):
        identify(tmp_path, PATHS)


def test_all_wrong_rows_are_told_of(tmp_path: Path) -> None:
    rows = "".join(f"none{number}.wav,joy,,,\n" for number in range(9))
    _, reading = recognise(write(tmp_path, labels_csv=HEADER + rows), PATHS)
    assert len(reading.problems) == 9
    with pytest.raises(CorpusError, match="row 6, .* and 4 more"):
        identify(tmp_path, PATHS)


def test_emodb_as_audformat_is_read(tmp_path: Path) -> None:
    name, utterances = identify(audformat(tmp_path), PATHS)
    assert name == "Audformat"
    assert utterances == [
        Utterance("3", "male", "a01", "happiness"),
        Utterance("8", "female", "a02", "anger"),
        Utterance("3", "male", "a01", "anger"),
    ]


def test_speakers_may_be_described_in_the_scheme(tmp_path: Path) -> None:
    inline = DB.replace("labels: speaker}", "labels: {3: {gender: male}, 8: {gender: female, age: 34}}}")
    _, utterances = identify(audformat(tmp_path, db_yaml=inline), PATHS)
    assert [one.gender for one in utterances] == ["male", "female", "male"]


def test_tables_without_speakers_leave_them_unknown(tmp_path: Path) -> None:
    header = "tables: {all: {columns: {emotion: {scheme_id: emotion}}}}"
    folder = write(tmp_path, db_yaml=header, db__all_csv=EMOTION)
    assert [one.speaker for one in identify(folder, PATHS)[1]] == ["unknown"] * 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"db_yaml": "tables: [1"}, "db.yaml: expected YAML"),
        (
            {"db_yaml": "tables: !!python/object/apply:os.system ['false']"},
            "db.yaml: expected YAML.*could not determine",
        ),
        ({"db_yaml": "a: &a [x]\ntables: {b: *a}"}, "db.yaml: expected YAML: aliases"),
        ({"db_yaml": "[" * 5000}, "db.yaml: expected YAML"),
        ({"db_yaml": "name: x"}, "db.yaml: expected tables, got none"),
        ({"db_yaml": DB.replace("filewise", "segmented")}, "db.yaml: expected a filewise table .*got tables emotion, "),
        ({"db_yaml": DB.replace("  files:", "  ../files:")}, "table '../files': there is no db.../files.csv"),
        ({"db_yaml": DB.replace("  files:", "  other:")}, "table 'other': there is no db.other.csv; save .* as CSV"),
        ({"db__emotion_csv": EMOTION + "none.wav,anger,1\n"}, "db.emotion.csv, row 5, column file: there is no audio"),
        ({"db__emotion_csv": EMOTION + "../x.wav,anger,1\n"}, "db.emotion.csv, row 5, column file: leads out"),
        ({"db__emotion_csv": EMOTION.replace("anger,1", ",1")}, "db.emotion.csv, row 4, column emotion: is empty"),
        ({"db__emotion_csv": EMOTION + "b/one.wav,happiness,1\n"}, "row 5, column emotion: 'b/one.wav' is 'happiness'"),
        (
            {"db__emotion_csv": EMOTION.replace("b/two.flac,anger,1\n", "")},
            "1 of 3 audio files are not in the manifest",
        ),
    ],
)
def test_audformat_that_is_wrong_is_refused(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        identify(audformat(tmp_path, **changed), PATHS)
