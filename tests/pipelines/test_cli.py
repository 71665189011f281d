"""The flags of `ser pipeline`: each changes what it says and nothing else. A flag that is not in the tables fails."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ser.request import MODEL_TYPE_VARIABLE
from ser_pipelines import cli
from ser_pipelines.local import LocalCrossValidation, LocalRun, Runner
from ser_pipelines.submitting import Schedule, SubmittedRun

METHODS = {"MFCC": {"num_cepstral": 20}}
REQUEST_FLAGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "request": (["--request", "asked.json"], {"random_state": 77, "dataset_virtual_speakers": 2}),
    "remote_url": (["--remote-url", "other.zip"], {"remote_url": "other.zip"}),
    "data_path": (["--data-path", "kept"], {"data_path": "kept"}),
    "model_type": (["--model-type", "KerasClassifier"], {"model_type": "KerasClassifier"}),
    "model_config": (["--model-config", '{"epochs": 3}'], {"model_config.epochs": 3}),
    "random_state": (["--random-state", "7"], {"random_state": 7}),
    "dataset_load_split_at": (["--dataset-load-split-at", "avg"], {"dataset_load_split_at": "avg"}),
    "dataset_load_normalize": (["--no-dataset-load-normalize"], {"dataset_load_normalize": False}),
    "dataset_feature_extract_methods": (
        ["--dataset-feature-extract-methods", json.dumps(METHODS)],
        {"dataset_feature_extract_methods": {"MFCC"}},
    ),
    "dataset_virtual_speakers": (["--dataset-virtual-speakers", "3"], {"dataset_virtual_speakers": 3}),
    "dataset_force": (["--dataset-force"], {"dataset_force": True}),
}
"""Parameter of the command to its flag, and what that changes."""
SAVED = {"model_save_path": (["--model-save-path", "kept"], {"model_save_path": "kept"})}
MINIMUM = {"minimum_uar": (["--minimum-uar", "0.25"], {"minimum_uar": 0.25})}
RUN_FLAGS = {
    **REQUEST_FLAGS,
    **SAVED,
    **MINIMUM,
    "pipeline_root": (["--pipeline-root", "elsewhere"], {"pipeline_root": Path("elsewhere")}),
    "runner": (["--runner", "docker"], {"runner": Runner.DOCKER}),
    "as_json": (["--json"], {}),
}
CROSS_VALIDATE_FLAGS = {
    **{name: RUN_FLAGS[name] for name in (*REQUEST_FLAGS, "pipeline_root", "runner", "as_json")},
    "protocol": (["--protocol", "kfold"], {"protocol": "kfold"}),
    "folds": (["--folds", "3"], {"folds": 3}),
    "group": (["--protocol", "kfold", "--group", "text"], {"protocol": "kfold", "group": "text"}),
    "fold_file": (["--protocol", "kfold", "--fold-file", "f.csv"], {"protocol": "kfold", "fold_file": "f.csv"}),
    "enrollment_clips": (["--enrollment-clips", "all"], {"enrollment_clips": "all"}),
    "enrollment_of": (
        ["--enrollment-clips", "6", "--enrollment-of", "corpus"],
        {"enrollment_clips": 6, "enrollment_of": "corpus"},
    ),
}
SUBMIT_FLAGS = {
    **REQUEST_FLAGS,
    **SAVED,
    **MINIMUM,
    "dataset_force": (["--dataset-force"], {"dataset_force": True, "host.enable_caching": False}),
    "host": (["--host", "https://other"], {"host.url": "https://other"}),
    "experiment": (["--experiment", "emotions"], {"host.experiment": "emotions"}),
    "run_name": (["--run-name", "mine"], {"host.run_name": "mine"}),
    "cluster": (["--cluster", "cluster.yaml"], {"cluster.feature_parts": 4}),
    "cron": (["--cron", "0 0 3 * * *"], {"called": "schedule", "cron": "0 0 3 * * *", "wait_seconds": None}),
    "namespace": (["--namespace", "team"], {"host.namespace": "team"}),
    "pipeline_root": (["--pipeline-root", "s3://artifacts"], {"host.pipeline_root": "s3://artifacts"}),
    "wait": (["--no-wait"], {"wait_seconds": None}),
    "timeout": (["--timeout", "5"], {"wait_seconds": 5.0}),
    "as_json": (["--json"], {}),
}
COMPILE_FLAGS = {"folder", "cluster", "check"}  # test_compiling.py and below
TABLES = {"run": RUN_FLAGS, "cross-validate": CROSS_VALIDATE_FLAGS, "submit": SUBMIT_FLAGS}
METRICS = {
    "uar": 0.75,
    "accuracy": 0.5,
    "accuracy_95_low": 0.25,
    "accuracy_95_high": 0.625,
    "macro_f1": 0.375,
    "chance": 0.125,
}
NOTE = "note    KerasDropoutClassifier is for demonstrations; --model-type EncoderClassifier is right far more often"
REPORT = Path("the-report.html")
RUN = LocalRun("KerasClassifier-1", "models/KerasClassifier-1", REPORT, METRICS, Path("a"), Path("log"), 7.0)
CROSS_VALIDATION = LocalCrossValidation(
    REPORT, METRICS | {"uar_fold_mean": 0.7, "uar_fold_deviation": 0.1}, Path("l"), 7.0
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What a command calls with what, flat; nothing is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MODEL_TYPE_VARIABLE, "KerasDropoutClassifier")  # which takes any features
    (tmp_path / "asked.json").write_text('{"random_state": 77, "dataset_virtual_speakers": 2}')
    (tmp_path / "cluster.yaml").write_text("feature_parts: 4")
    found: list[dict[str, Any]] = []

    def run(request: Any, root: Path, runner: Runner, *, minimum_uar: float) -> LocalRun:
        found.append({**flat(request), "pipeline_root": root, "runner": runner, "minimum_uar": minimum_uar})
        return RUN

    def cross_validate(request: Any, root: Path, runner: Runner) -> LocalCrossValidation:
        found.append({**flat(request), "pipeline_root": root, "runner": runner})
        return CROSS_VALIDATION

    def submit(
        request: Any, host: Any, *, minimum_uar: float, cluster: Any, wait_seconds: float | None
    ) -> SubmittedRun:
        given = {"minimum_uar": minimum_uar, "wait_seconds": wait_seconds, "called": "submit", "cron": None}
        found.append(
            {**flat(request), **of("host", dataclasses.asdict(host)), **of("cluster", cluster.model_dump()), **given}
        )
        waited = wait_seconds is not None
        return SubmittedRun("run-1", "http://page", "SUCCEEDED" if waited else None, METRICS if waited else None)

    def schedule(request: Any, host: Any, cron: str, *, minimum_uar: float, cluster: Any) -> Schedule:
        given = {"minimum_uar": minimum_uar, "wait_seconds": None, "called": "schedule", "cron": cron}
        found.append(
            {**flat(request), **of("host", dataclasses.asdict(host)), **of("cluster", cluster.model_dump()), **given}
        )
        return Schedule("schedule-1", "http://page")

    monkeypatch.setattr(cli, "run_locally", run)
    monkeypatch.setattr(cli, "cross_validate_locally", cross_validate)
    monkeypatch.setattr(cli, "submit_run", submit)
    monkeypatch.setattr(cli, "schedule_run", schedule)
    return found


def flat(request: Any) -> dict[str, Any]:
    content = request.model_dump(mode="json", by_alias=True)
    return {**of("model_config", content.pop("model_config")), **content}


def of(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in content.items()}


def invoke(command: str, *flags: str) -> str:
    needed = ["--host", "https://host"] if command == "submit" and "--host" not in flags else []
    ended = CliRunner().invoke(cli.commands, [command, *needed, *flags], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_no_command_has_a_flag_that_is_not_tested() -> None:
    found = {
        name: {parameter.name for parameter in command.params} - {"help"}
        for name, command in typer.main.get_command(cli.commands).commands.items()  # type: ignore[attr-defined]
    }
    assert found == {**{name: set(table) for name, table in TABLES.items()}, "compile": COMPILE_FLAGS}


CRON = ("--cron", "0 0 3 * * *")
CASES = [(command, flag, ()) for command, table in TABLES.items() for flag in table]
CASES += [("submit", flag, CRON) for flag in SUBMIT_FLAGS if flag not in ("cron", "wait", "timeout")]


@pytest.mark.parametrize(("command", "flag", "more"), CASES)
def test_a_flag_changes_what_it_says_and_nothing_else(
    command: str, flag: str, more: tuple[str, ...], calls: list[dict[str, Any]]
) -> None:
    flags, changes = TABLES[command][flag]
    invoke(command, *more)
    said = invoke(command, *more, *flags)
    before, after = calls
    found = {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}
    if flag == "dataset_feature_extract_methods":
        assert set(found.pop(flag)) == changes[flag]
        assert after[flag]["MFCC"]["num_cepstral"] == 20
        changes = {}
    if flag == "model_type":  # another has another config
        found = {name: value for name, value in found.items() if not name.startswith("model_config.")}
    assert found == changes
    if flag == "as_json":
        assert json.loads(said)


def test_a_flag_goes_before_the_request_file(calls: list[dict[str, Any]]) -> None:
    invoke("run", "--request", "asked.json", "--random-state", "8")
    assert (calls[0]["random_state"], calls[0]["dataset_virtual_speakers"]) == (8, 2)


def test_the_defaults_of_the_commands(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_TYPE_VARIABLE)
    for command in TABLES:
        invoke(command)
    trained, validated, submitted = calls
    usual = {"remote_url": "embedded:", "data_path": "data", "model_type": "EncoderClassifier", "random_state": 42}
    usual |= {"dataset_load_split_at": "max", "dataset_virtual_speakers": 10}
    for call in calls:
        assert list(call["dataset_feature_extract_methods"]) == ["SpeechEncoder"]
        assert {name: call[name] for name in usual} == usual
    local = {"pipeline_root": Path("runs"), "runner": Runner.SUBPROCESS}
    assert {name: trained[name] for name in local} == {name: validated[name] for name in local} == local
    assert (trained["model_save_path"], trained["minimum_uar"]) == ("models", 0)
    assert (validated["protocol"], validated["folds"], validated["enrollment_clips"]) == ("loso", 10, 0)
    assert {name: submitted[name] for name in submitted if name.startswith("host.")} == {
        "host.url": "https://host", "host.namespace": None, "host.experiment": "ser", "host.run_name": None,
        "host.pipeline_root": None, "host.enable_caching": None,
    }  # fmt: skip
    assert submitted["wait_seconds"] == 86_400


@pytest.mark.parametrize("wrong", ["-0.1", "1.1"])
@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_least_uar_is_a_share(command: str, wrong: str, calls: list[dict[str, Any]]) -> None:
    host = ["--host", "https://host"] if command == "submit" else []
    ended = CliRunner().invoke(cli.commands, [command, *host, "--minimum-uar", wrong])
    assert ended.exit_code == 2
    assert calls == []
    for right in ("0", "1"):
        invoke(command, "--minimum-uar", right)
    assert [call["minimum_uar"] for call in calls] == [0, 1]


def test_what_is_printed(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls == []
    said = invoke("run", "--model-save-path", "kept")
    for wanted in ("KerasClassifier-1", str(REPORT), "0.750", "7 s"):
        assert wanted in said, said
    assert json.loads(invoke("run", "--json")) == {
        **RUN.to_dict(), "report": str(REPORT), "artifacts": "a", "log": "log",
    }  # fmt: skip
    said = invoke("cross-validate", "--protocol", "kfold")
    for wanted in ("kfold", "0.750", f"report  {REPORT}", "took    7 s"):
        assert wanted in said, said
    assert json.loads(invoke("cross-validate", "--json")) == CROSS_VALIDATION.to_dict()
    said = invoke("submit").splitlines()
    assert said[:2] == ["run     run-1", "page    http://page"]
    figures = [[name, f"{value:.3f}"] for name, value in METRICS.items()]
    assert [line.split() for line in said[2:-1]] == figures
    assert said[-1] == NOTE
    assert invoke("submit", "--no-wait").splitlines() == [*said[:2], NOTE]
    for command in ("run", "cross-validate"):
        assert NOTE in invoke(command).splitlines()
        assert NOTE not in invoke(command, "--model-type", "EnsembleClassifier").splitlines()
    assert json.loads(invoke("submit", "--json"))["metrics"] == METRICS
    assert invoke("submit", "--cron", "0 0 3 * * *").splitlines() == ["schedule  schedule-1", "page      http://page"]
    assert json.loads(invoke("submit", "--cron", "0 0 3 * * *", "--json")) == {
        "schedule_id": "schedule-1", "url": "http://page",
    }  # fmt: skip
    nothing = dataclasses.replace(RUN, model_id="", model=None)
    monkeypatch.setattr(cli, "run_locally", lambda *_, **__: nothing)
    assert invoke("run", "--minimum-uar", "0.8").splitlines() == [
        "saved nothing: UAR 0.750 is below minimum_uar = 0.8", f"report  {REPORT}", NOTE,
    ]  # fmt: skip
    monkeypatch.setattr(cli, "submit_run", lambda *_, **__: SubmittedRun("run-1", "http://page", "SUCCEEDED", None))
    assert invoke("submit").splitlines()[-2] == "metrics on the page: this host does not give the steps' logs"


def test_compiling_writes_into_the_folder_for_the_cluster_and_checks_without_writing(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("node_selector: {pool: batch}")
    folder = tmp_path / "out"
    said = invoke("compile", str(folder), "--cluster", str(tmp_path / "cluster.yaml"))
    assert said.splitlines() == [str(folder / "training.yaml"), str(folder / "cross_validation.yaml")]
    assert all("pool: batch" in path.read_text() for path in folder.iterdir())
    invoke("compile", str(folder))
    assert not any("pool: batch" in path.read_text() for path in folder.iterdir())
    assert invoke("compile", str(folder), "--check") == ""
    (folder / "training.yaml").write_text((folder / "training.yaml").read_text().replace("ser-training", "other"))
    stale = (folder / "training.yaml").read_text()
    ended = CliRunner().invoke(cli.commands, ["compile", str(folder), "--check"])
    assert "is not what the pipeline compiles to" in str(ended.exception)
    assert (folder / "training.yaml").read_text() == stale
