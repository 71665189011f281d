"""The command line as a process: what it prints, where, and its exit status."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from tests.signals import tone, wav


def ser(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ser", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def refused(ended: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert ended.returncode == status, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("ser: ")]
    assert len(lines) == 1, ended.stderr
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def trained(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A model trained by the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("cli")
    ended = ser(
        "train",
        "--remote-url", corpus_zip,
        "--model-type", "KerasClassifier",
        "--model-config", '{"epochs": 2}',
        "--dataset-load-split-at", "avg",
        "--json",
        cwd=folder,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout)


def test_train_answers_as_the_api_does(trained: tuple[Path, dict[str, object]]) -> None:
    folder, answer = trained
    assert set(answer) == {"model_id", "test_samples", "metrics", "classes", "seconds"}
    bundle = Bundle(folder / "models" / str(answer["model_id"]))
    assert answer["test_samples"] == list(bundle.manifest.validation_samples)
    assert bundle.manifest.features["dataset_load_split_at"] == "avg"
    assert bundle.manifest.hyperparameters["epochs"] == 2


def test_progress_is_lines_on_standard_error_when_there_is_no_terminal(corpus_zip: Path, tmp_path: Path) -> None:
    ended = ser(
        "train",
        "--remote-url",
        corpus_zip,
        "--model-type",
        "KerasClassifier",
        "--model-config",
        '{"epochs": 2}',
        cwd=tmp_path,
    )
    for stage in ("Download", "Unpack", "Check audio", "Features", "Train", "Evaluate"):
        assert stage in ended.stderr
    assert "\x1b" not in ended.stderr + ended.stdout
    assert "report.html" in ended.stdout
    assert "ser predict --model-id KerasClassifier-" in ended.stdout
    assert ended.stdout.count("note    KerasClassifier is for demonstrations; ") == 1


def test_a_request_file_is_taken_and_flags_come_first(
    trained: tuple[Path, dict[str, object]], corpus_zip: Path
) -> None:
    folder, answer = trained
    body = {
        "remote_url": str(corpus_zip),
        "data_path": "data",
        "model_save_path": "elsewhere",
        "model_type": "KerasClassifier",
        "model_config": {"epochs": 2},
        "dataset_load_split_at": "avg",
    }
    (folder / "request.json").write_text(json.dumps(body))
    ended = ser("train", "--request", "request.json", "--model-save-path", "models", "--json", cwd=folder)
    assert json.loads(ended.stdout)["model_id"] == answer["model_id"]
    assert not (folder / "elsewhere").exists()


def test_predict_tells_one_or_many_as_table_or_json(trained: tuple[Path, dict[str, object]]) -> None:
    folder, answer = trained
    (folder / "a.wav").write_bytes(wav(tone(1.0)))
    (folder / "b.flac").write_bytes(wav(tone(2.0, 44_100), 44_100, kind="FLAC"))
    table = ser("predict", "a.wav", "b.flac", cwd=folder)
    assert table.returncode == 0, table.stderr
    assert "a.wav" in table.stdout
    assert "b.flac" in table.stdout
    content = json.loads(ser("predict", "--json", "a.wav", "b.flac", cwd=folder).stdout)
    assert content["model_id"] == answer["model_id"]
    assert [one["sample_name"] for one in content["predictions"]] == ["a.wav", "b.flac"]
    assert set(content["predictions"][0]["probabilities"]) == set(answer["classes"])  # type: ignore[call-overload]


def test_a_validation_sample_is_predicted_by_name(trained: tuple[Path, dict[str, object]]) -> None:
    folder, answer = trained
    name = answer["test_samples"][0]  # type: ignore[index]
    ended = ser("predict", "--sample-name", name, "--json", cwd=folder)
    (prediction,) = json.loads(ended.stdout)["predictions"]
    assert prediction["sample_name"] == name
    assert prediction["ground_truth"] in answer["classes"]  # type: ignore[operator]
    refused(ser("predict", "--sample-name", "nobody.wav", cwd=folder), 3, "sample_name", "nobody.wav")


def test_predict_says_uncertain_where_it_is_asked_to(trained: tuple[Path, dict[str, object]]) -> None:
    folder, _ = trained
    (folder / "a.wav").write_bytes(wav(tone(1.0)))
    answer = json.loads(ser("predict", "--json", "--uncertain-below", "1", "a.wav", cwd=folder).stdout)
    assert answer["predictions"][0]["prediction"] == "uncertain"
    best = max(answer["predictions"][0]["probabilities"].items(), key=lambda item: item[1])
    table = ser("predict", "--uncertain-below", "1", "a.wav", cwd=folder).stdout
    assert "uncertain" in table
    assert f"{best[0]} {best[1]:.2f}" in table
    assert ser("predict", "--uncertain-below", "1.5", "a.wav", cwd=folder).returncode == 2


def test_one_bad_recording_does_not_lose_the_others(trained: tuple[Path, dict[str, object]]) -> None:
    folder, _ = trained
    (folder / "good.wav").write_bytes(wav(tone(1.0)))
    (folder / "silent.wav").write_bytes(wav(tone(1.0) * 0))
    ended = ser("predict", "--json", "silent.wav", "good.wav", cwd=folder)
    refused(ended, 2, "silent.wav", "silence")
    assert [one["sample_name"] for one in json.loads(ended.stdout)["predictions"]] == ["good.wav"]
    refused(ser("predict", "nowhere.wav", cwd=folder), 3, "nowhere.wav", "no such file")


def test_a_recording_that_cannot_be_used_is_not_adapted_to(adaptive: Bundle, tmp_path: Path) -> None:
    shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id)
    (tmp_path / "good.wav").write_bytes(wav(tone(1.0)))
    (tmp_path / "silent.wav").write_bytes(wav(tone(1.0) * 0))
    ended = ser("predict", "--json", "--adapt", "good.wav", "silent.wav", "good.wav", cwd=tmp_path)
    refused(ended, 2, "silent.wav", "silence")
    told = json.loads(ended.stdout)["predictions"]
    assert [(one["sample_name"], one["speaker_clips"]) for one in told] == [("good.wav", 2)] * 2


def test_a_model_that_does_not_adapt_enrolls_nobody(trained: tuple[Path, dict[str, object]]) -> None:
    folder, _ = trained
    (folder / "anna.wav").write_bytes(wav(tone(1.0)))
    for command in (
        ["enroll", "anna", "anna.wav"],
        ["speakers"],
        ["predict", "--enrollment-clips", "anna.wav", "anna.wav"],
    ):
        refused(ser(*command, cwd=folder), 4, "does not adapt to speakers")
    assert ser("predict", "--speaker", "anna", "anna.wav", cwd=folder).returncode == 0


def test_evaluate_prints_the_figures_of_the_manifest(trained: tuple[Path, dict[str, object]]) -> None:
    folder, answer = trained
    content = json.loads(ser("evaluate", "--json", cwd=folder).stdout)
    assert content["model_id"] == answer["model_id"]
    assert content["uar"] == answer["metrics"]["uar"]  # type: ignore[index]
    assert Path(folder, content["report"]).is_file()
    assert "recall" in ser("evaluate", str(answer["model_id"]), cwd=folder).stdout


def test_evaluate_by_a_protocol_trains_judges_and_keeps(corpus_zip: Path, tmp_path: Path) -> None:
    flags = (
        "--protocol", "kfold", "--folds", "2", "--seeds", "1,2", "--workers", "2", "--remote-url", corpus_zip,
        "--model-type", "KerasClassifier", "--model-config", '{"epochs": 1}',
    )  # fmt: skip
    ended = ser("evaluate", *flags, "--report", "out", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "Seed 2       2/2 folds  uar 0." in ended.stderr
    before, _, after = ended.stderr.partition("kfold: 4 trainings, of 2 folds with each of 2 seeds\n")
    assert "Features" not in before
    assert "Features" in after
    content = json.loads(ended.stdout)
    assert Path(tmp_path, content["report"]).is_file()
    assert [row["seed"] for row in content["by_seed"]] == [1, 2]
    again = ser("evaluate", *flags, "--report", "out", cwd=tmp_path)
    for words in ("kfold, KerasClassifier, seed 1: UAR 0.", "bootstrap over recordings", "fold 2", "mean ± sd", "±"):
        assert words in again.stdout
    assert "predictions  out/report/predictions.csv" in again.stdout
    assert again.stdout.count("note    KerasClassifier is for demonstrations; ") == 1
    assert "Train" not in again.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--protocol", "loco"], ["at least two values of corpus, got EmoDB alone"]),
        (["--protocol", "kfold", "--group", "gender", "--folds", "3"], ["3 values of gender, a fold each, got 2"]),
        (["--protocol", "kfold", "--fold-file", "folds.csv"], ["fold of every recording, it is not said of"]),
    ],
    ids=" ".join,
)
def test_a_protocol_that_the_corpus_cannot_have_is_refused_before_its_features_are_extracted(
    flags: list[str], words: list[str], corpus_zip: Path, tmp_path: Path
) -> None:
    (tmp_path / "folds.csv").write_text("file,fold\nother.wav,1\n")
    ended = ser("evaluate", *flags, "--remote-url", corpus_zip, cwd=tmp_path)
    refused(ended, 4, *words)
    assert not (tmp_path / "data" / "features").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model-type", "KerasClassifier"], ["model_type", "together with --protocol"]),
        (["--seeds", "1,2"], ["seeds", "together with --protocol"]),
        (["--protocol", "loso", "SomeModel"], ["model_id", "expected none with --protocol"]),
        (["--protocol", "loso", "--group", "speaker"], ["group", "it is of kfold; got 'speaker'"]),
        (["--protocol", "loso", "--fold-file", "f.csv"], ["fold_file", "it is of kfold; got 'f.csv'"]),
        (
            ["--protocol", "kfold", "--group", "session"],
            ["group", "gender, corpus, or a column", "session"],
        ),
        (
            ["--protocol", "loco", "--enrollment-of", "corpus"],
            ["enrollment_of", "expected enrollment_clips as well", "'corpus'"],
        ),
        (["--protocol", "loso", "--seeds", "1,1"], ["seeds", "different numbers", "1,1"]),
        (["--protocol", "loso", "--seeds", "one"], ["seeds", "'one'"]),
        (["--protocol", "loso", "--model-type", "Perceptron"], ["model_type", "Perceptron"]),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_refused(flags: list[str], words: list[str], tmp_path: Path) -> None:
    refused(ser("evaluate", *flags, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_models_lists_and_shows(trained: tuple[Path, dict[str, object]]) -> None:
    folder, answer = trained
    assert str(answer["model_id"]) in ser("models", cwd=folder).stdout
    assert [one["model_id"] for one in json.loads(ser("models", "--json", cwd=folder).stdout)] == [answer["model_id"]]
    assert json.loads(ser("models", answer["model_id"], cwd=folder).stdout)["classes"] == answer["classes"]
    refused(ser("models", "other", cwd=folder), 3, "other", str(answer["model_id"]))


def test_synthesise_writes_a_corpus_that_train_takes(tmp_path: Path) -> None:
    ended = ser("synthesise", "c.zip", "--clips", "20", "--seed", "2", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "c.zip").stat().st_size > 100_000
    refused(ser("synthesise", "d.zip", "--clips", "3", cwd=tmp_path), 2, "clips")
    assert not (tmp_path / "d.zip").exists()


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--model-type", "Perceptron"], 2, ["model_type", "Perceptron", "KerasClassifier"]),
        (["--model-config", '{"epoch": 3}'], 2, ["model_config.epoch", "allowed: penalty, weights, adapts"]),
        (["--model-config", "epochs=3"], 2, ["model_config", "JSON object"]),
        (["--dataset-load-split-at", "foo"], 2, ["dataset_load_split_at", "'foo'"]),
        (["--dataset-load-split-at=-5"], 2, ["dataset_load_split_at", "-5"]),
        (["--dataset-feature-extract-methods", '{"Wavelets": {}}'], 2, ["Wavelets", "MFCC"]),
        (["--remote-url", "nowhere.zip"], 4, ["nowhere.zip", "no such file"]),
        (["--remote-url", "http://127.0.0.1:9/x.zip"], 4, ["127.0.0.1:9"]),
        (["--remote-url", "ftp://x/y"], 2, ["remote_url", "ftp://x/y"]),
        (["--request", "nowhere.json"], 3, ["nowhere.json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_in_one_line_and_a_status_and_leaves_nothing(
    tmp_path: Path, flags: list[str], status: int, words: list[str]
) -> None:
    refused(ser("train", *flags, cwd=tmp_path), status, *words)
    assert not list(tmp_path.glob("data/[!.]*/[!.]*"))
    assert not (tmp_path / "models").exists()


def test_no_model_yet_says_what_to_do(tmp_path: Path) -> None:
    refused(ser("predict", "x.wav", cwd=tmp_path), 3, "no model in models", "ser train")
    assert "no models in models" in ser("models", cwd=tmp_path).stdout


def test_help_and_version_need_nothing() -> None:
    text = ser("--help").stdout
    for word in (
        "Exit status",
        "train",
        "evaluate",
        "predict",
        "enroll",
        "speakers",
        "models",
        "synthesise",
        "pipeline",
    ):
        assert word in text
    assert ser("--version").stdout.strip()
