"""Submitting to a host on loopback that is as strict as the real one: token, namespace, pages, unknown fields."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ser.config import parse
from ser.errors import ConfigError, TrainingError
from ser.request import TrainRequest
from ser_pipelines import submitting
from ser_pipelines.cluster import ClusterSettings
from ser_pipelines.submitting import Host, schedule, submit
from tests.scripted_kubeflow import TOKEN, Kubeflow, scripted_kubeflow

REQUEST = parse(
    TrainRequest,
    {
        "data_path": "/data",
        "remote_url": "embedded:",
        "model_type": "KerasClassifier",
        "model_save_path": "/models",
        "dataset_load_split_at": 16_000,
        "dataset_load_normalize": False,
        "dataset_virtual_speakers": 2,
        "dataset_force": True,
        "random_state": 7,
    },
)
METRICS = {"uar": 0.75, "accuracy": 0.8}
LOG = f"Evaluate     30/30 clips\nmetrics {json.dumps(METRICS)}\n"
TASKS = [
    {"display_name": "training", "child_tasks": [{"pod_name": "pod-training"}]},
    {"display_name": "evaluation", "child_tasks": [{"pod_name": "pod-driver"}, {"pod_name": "pod-evaluation"}]},
]
CLUSTER = ClusterSettings(node_selector={"pool": "batch"}, feature_parts=3)


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setenv(submitting.TOKEN_VARIABLE, TOKEN)
    with scripted_kubeflow() as host:
        host.tasks = TASKS
        host.logs = {"pod-evaluation": LOG, "pod-training": 'metrics {"uar": 0.1}\n'}
        yield host


def assert_asked(body: Any, *, minimum_uar: float, cached: bool, cluster: bool) -> None:
    """A run or a schedule has the pipeline, set up for the cluster, and all its parameters but the receipt."""
    spec = body.pipeline_spec
    platform = spec.get("platform_spec")
    spec = spec.get("pipeline_spec", spec)
    tasks = spec["root"]["dag"]["tasks"]
    features = {"for-loop-2", "join-features"} if cluster else {"feature-extraction"}
    assert set(tasks) == {"check-request", "download", "training", "evaluation"} | features
    for name in ("download", "training", "evaluation"):
        assert bool(tasks[name].get("cachingOptions", {}).get("enableCache")) is cached
    assert (platform is not None) is cluster
    if cluster:
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert all(one["nodeSelector"]["labels"] == {"pool": "batch"} for one in executors.values())
        assert "exec-training" in executors
    parameters = body.runtime_config.parameters
    assert parameters == {
        **REQUEST.model_dump(mode="json", by_alias=True, exclude_none=True),
        "dataset_load_split_at": "16000",
        "minimum_uar": minimum_uar,
    }
    assert set(parameters) == set(spec["root"]["inputDefinitions"]["parameters"]) - {"receipt"}


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("cluster", [None, CLUSTER], ids=["plain", "cluster"])
def test_a_run_has_everything_that_was_asked_for(
    cached: bool, cluster: ClusterSettings | None, kubeflow: Kubeflow
) -> None:
    kubeflow.namespace = "team"
    host = Host(kubeflow.url, "team", "emotions", "the run", "s3://artifacts", enable_caching=None if cached else False)
    submitted = submit(REQUEST, host, minimum_uar=1, cluster=cluster)
    (run,), (experiment,) = kubeflow.runs, kubeflow.experiments
    assert (submitted.run_id, submitted.url) == ("run-1", f"{kubeflow.url}/#/runs/details/run-1")
    assert (submitted.state, submitted.metrics) == (None, None)
    assert (run.display_name, run.experiment_id) == ("the run", "experiment-1")
    assert (experiment["display_name"], experiment["namespace"]) == ("emotions", "team")
    assert run.runtime_config.pipeline_root == "s3://artifacts"
    assert_asked(run, minimum_uar=1.0, cached=cached, cluster=cluster is not None)
    assert kubeflow.count("look") == 0


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("cluster", [None, CLUSTER], ids=["plain", "cluster"])
def test_a_schedule_has_everything_that_was_asked_for(
    cached: bool, cluster: ClusterSettings | None, kubeflow: Kubeflow
) -> None:
    kubeflow.namespace = "team"
    host = Host(kubeflow.url, "team", "emotions", "nightly", "s3://artifacts", enable_caching=None if cached else False)
    made = schedule(REQUEST, host, "0 0 3 * * *", minimum_uar=1, cluster=cluster)
    (found,), (experiment,) = kubeflow.schedules, kubeflow.experiments
    assert (made.schedule_id, made.url) == ("schedule-1", f"{kubeflow.url}/#/recurringrun/details/schedule-1")
    assert (found.display_name, found.experiment_id) == ("nightly", "experiment-1")
    assert (experiment["display_name"], experiment["namespace"]) == ("emotions", "team")
    assert found.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert (found.max_concurrency, found.no_catchup, found.mode) == ("1", True, "ENABLE")
    assert found.runtime_config.pipeline_root == "s3://artifacts"
    assert_asked(found, minimum_uar=1.0, cached=cached, cluster=cluster is not None)


def test_a_host_of_one_user_wants_no_namespace(kubeflow: Kubeflow) -> None:
    submit(REQUEST, Host(kubeflow.url))
    assert kubeflow.experiments == [{"experiment_id": "experiment-1", "display_name": "ser"}]
    assert kubeflow.runs[0].runtime_config.pipeline_root is None
    assert kubeflow.runs[0].display_name.startswith("training.yaml ")
    schedule(REQUEST, Host(f"{kubeflow.url}/"), "0 0 3 * * *")
    assert kubeflow.schedules[0].display_name == "ser-training"
    for one in (kubeflow.runs[0], kubeflow.schedules[0]):
        assert one.runtime_config.parameters["minimum_uar"] == 0  # whatever its figure, the model is saved


def test_an_experiment_is_made_once(kubeflow: Kubeflow) -> None:
    kubeflow.experiments = [{"experiment_id": f"e-{name}", "display_name": name} for name in ("a", "b", "c", "mine")]
    for _ in range(2):
        submit(REQUEST, Host(kubeflow.url, experiment="mine"))
    assert [run.experiment_id for run in kubeflow.runs] == ["e-mine", "e-mine"]
    assert len(kubeflow.experiments) == 4


@pytest.mark.parametrize("cron", ["0 3 * * *", "0 0 3 * * * *", ""])
def test_a_clock_of_another_form_is_refused_before_anybody_is_asked(cron: str, kubeflow: Kubeflow) -> None:
    with pytest.raises(ConfigError, match="cron: expected six fields, seconds first"):
        schedule(REQUEST, Host(kubeflow.url), cron)
    assert kubeflow.calls == []


def test_waiting_ends_with_the_metrics_of_the_evaluation(kubeflow: Kubeflow) -> None:
    submitted = submit(REQUEST, Host(kubeflow.url), wait_seconds=30)
    assert (submitted.state, submitted.metrics) == ("SUCCEEDED", METRICS)
    assert kubeflow.count("look") == 3


def test_the_metrics_are_found_where_the_task_has_the_pod_itself(kubeflow: Kubeflow) -> None:
    kubeflow.tasks = [{"display_name": "evaluation", "pod_name": "pod-evaluation"}]
    assert submit(REQUEST, Host(kubeflow.url), wait_seconds=30).metrics == METRICS


@pytest.mark.parametrize("logs", [{}, {"pod-evaluation": "Evaluate     30/30 clips\n"}])
def test_a_host_without_logs_is_no_error(logs: dict[str, str], kubeflow: Kubeflow) -> None:
    kubeflow.logs = logs
    assert submit(REQUEST, Host(kubeflow.url), wait_seconds=30).metrics is None
    kubeflow.states, kubeflow.tasks = ["SUCCEEDED"], []
    assert submit(REQUEST, Host(kubeflow.url), wait_seconds=30).metrics is None


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("FAILED", "run run-1 ended as FAILED: pod was evicted; see http.*/#/runs/details/run-1"),
        ("CANCELED", "run run-1 ended as CANCELED; see"),
        ("SKIPPED", "run run-1 ended as SKIPPED; see"),
    ],
)
def test_a_run_that_does_not_succeed_is_an_error(last: str, message: str, kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.error = ["RUNNING", last], "pod was evicted"
    with pytest.raises(TrainingError, match=message):
        submit(REQUEST, Host(kubeflow.url), wait_seconds=30)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING", "PAUSED"])
def test_time_runs_out_and_says_that_the_run_goes_on(state: str, kubeflow: Kubeflow) -> None:
    kubeflow.states = [state]
    with pytest.raises(TrainingError, match=rf"run run-1 is {state} after 0\.3 s; it goes on"):
        submit(REQUEST, Host(kubeflow.url), wait_seconds=0.3)
    assert kubeflow.count("look") > 1


def test_looks_that_fail_for_a_while_do_not_end_the_wait(kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.failures = ["RUNNING", "SUCCEEDED"], {"look": [503, 500]}
    assert submit(REQUEST, Host(kubeflow.url), wait_seconds=60).state == "SUCCEEDED"
    assert kubeflow.count("look") == 4


def test_a_look_that_is_refused_for_good_ends_the_wait(kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.failures = ["RUNNING"], {"look": [403]}
    with pytest.raises(TrainingError, match=f"{kubeflow.url}: the host answered 403 Forbidden"):
        submit(REQUEST, Host(kubeflow.url), wait_seconds=60)
    kubeflow.failures = {"look": [503] * 1_000}
    with pytest.raises(TrainingError, match=f"{kubeflow.url}: the host answered 503"):
        submit(REQUEST, Host(kubeflow.url), wait_seconds=1)


def test_a_host_that_refuses_or_is_not_there_is_named(kubeflow: Kubeflow) -> None:
    for call in (submit, lambda *given: schedule(*given, "0 0 3 * * *")):
        wrong = f"{kubeflow.url}/wrong"
        with pytest.raises(TrainingError, match=rf"{wrong}: expected the API .* the host answered 404 Not Found"):
            call(REQUEST, Host(wrong))
        with pytest.raises(TrainingError, match=r"http://127\.0\.0\.1:9: .*refused"):
            call(REQUEST, Host("http://127.0.0.1:9"))
        kubeflow.failures = {"experiments": [500]}
        with pytest.raises(TrainingError, match=f"{kubeflow.url}: the host answered 500 .*not now"):
            call(REQUEST, Host(kubeflow.url))
    assert kubeflow.runs == []
    assert kubeflow.schedules == []


@pytest.mark.parametrize("token", ["", "another"])
def test_a_token_that_is_not_taken_is_hinted_at(
    token: str, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(submitting.TOKEN_VARIABLE, token)
    with pytest.raises(TrainingError, match="answered 401 Unauthorized .*; is KFP_TOKEN set and valid?") as refused:
        submit(REQUEST, Host(kubeflow.url))
    assert "another" not in str(refused.value)
    assert kubeflow.calls == []


def test_the_namespace_is_wanted_by_a_host_of_many(kubeflow: Kubeflow) -> None:
    kubeflow.namespace = "team"
    with pytest.raises(TrainingError, match="answered 400 .*namespace"):
        submit(REQUEST, Host(kubeflow.url))
    with pytest.raises(TrainingError, match="answered 400 .*namespace"):
        submit(REQUEST, dataclasses.replace(Host(kubeflow.url), namespace="other"))


def test_the_command_line_submits_waits_and_prints_the_metrics(kubeflow: Kubeflow, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ser", "pipeline", "submit", "--host", kubeflow.url, "--experiment", "cli"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "run-1" in ended.stdout
    assert "0.750" in ended.stdout
    assert kubeflow.experiments[0]["display_name"] == "cli"
    assert TOKEN not in ended.stdout + ended.stderr
    kubeflow.states = ["FAILED"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert ended.returncode == 4
    assert "ended as FAILED" in ended.stderr
