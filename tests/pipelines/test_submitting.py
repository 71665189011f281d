"""Submitting against a real HTTP server on loopback that speaks the part of the KFP v2beta1 API that is used.

Requests are read, and answers made, with the models of `kfp_server_api`, so that a field that the API does not
have fails here too.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest

from pipelines import submitting
from pipelines.submitting import Host, schedule, submit
from ser.config import parse
from ser.errors import ConfigError, TrainingError
from ser.request import TrainRequest

REQUEST = parse(
    TrainRequest,
    {
        "data_path": "/data",
        "remote_url": "embedded:",
        "model_type": "KerasClassifier",
        "model_save_path": "/models",
        "dataset_load_split_at": 16_000,
    },
)
METRICS = {"uar": 0.75, "accuracy": 0.8}
LOG = f"Evaluate     30/30 clips\nmetrics {json.dumps(METRICS)}\n"
TOKEN = "the-secret-token"  # noqa: S105 - a test's


class Kubeflow:
    """What the server was asked, and how its runs go."""

    def __init__(self) -> None:
        self.runs: list[kfp_server_api.V2beta1Run] = []
        self.schedules: list[kfp_server_api.V2beta1RecurringRun] = []
        self.experiments: list[kfp_server_api.V2beta1Experiment] = []
        self.authorization: set[str | None] = set()
        self.states = ["PENDING", "RUNNING", "SUCCEEDED"]
        self.log: str | None = LOG


def read(body: bytes, model: str) -> Any:
    """A request's body as the API's model; unknown fields fail."""
    known = set(getattr(kfp_server_api, model).attribute_map.values())
    assert set(json.loads(body)) <= known, f"{model} has no {set(json.loads(body)) - known}"

    class Response:
        data = body.decode()

    return kfp_server_api.ApiClient().deserialize(Response, model)


class Handler(BaseHTTPRequestHandler):
    kubeflow: Kubeflow

    def do_GET(self) -> None:
        kubeflow = self.kubeflow
        kubeflow.authorization.add(self.headers.get("Authorization"))
        path = self.path.partition("?")[0]
        if path == "/apis/v2beta1/healthz":
            self._answer({"multi_user": False})
        elif path == "/apis/v2beta1/experiments":
            self._answer(
                {
                    "experiments": [
                        kfp_server_api.ApiClient().sanitize_for_serialization(e) for e in kubeflow.experiments
                    ]
                }
            )
        elif re.fullmatch(r"/apis/v2beta1/runs/run-1", path):
            state = kubeflow.states.pop(0) if len(kubeflow.states) > 1 else kubeflow.states[0]
            tasks = [
                {"display_name": "training", "child_tasks": [{"pod_name": "pod-training"}]},
                {
                    "display_name": "evaluation",
                    "child_tasks": [{"pod_name": "pod-driver"}, {"pod_name": "pod-evaluation"}],
                },
            ]
            error = {"error": {"code": 9, "message": "pod was evicted"}} if state == "FAILED" else {}
            self._answer({"run_id": "run-1", "state": state, "run_details": {"task_details": tasks}, **error})
        elif path == "/apis/v1alpha1/runs/run-1/nodes/pod-evaluation/log" and kubeflow.log is not None:
            self._answer(kubeflow.log, "text/plain")
        else:
            self._answer({"error": "not found"}, status=404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/apis/v2beta1/experiments":
            experiment = read(body, "V2beta1Experiment")
            experiment.experiment_id = "experiment-1"
            self.kubeflow.experiments.append(experiment)
            self._answer({"experiment_id": "experiment-1", "display_name": experiment.display_name})
        elif path == "/apis/v2beta1/recurringruns":
            self.kubeflow.schedules.append(read(body, "V2beta1RecurringRun"))
            self._answer({"recurring_run_id": "schedule-1"})
        elif path == "/apis/v2beta1/runs":
            self.kubeflow.runs.append(read(body, "V2beta1Run"))
            self._answer({"run_id": "run-1", "state": "PENDING"})
        else:
            self._answer({"error": "not found"}, status=404)

    def _answer(self, content: object, kind: str = "application/json", status: int = 200) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kubeflow, str]]:
    state = Kubeflow()
    handler = type("BoundHandler", (Handler,), {"kubeflow": state})
    monkeypatch.setenv(submitting.TOKEN_VARIABLE, TOKEN)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield state, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_the_host_gets_pipeline_parameters_names_and_token(kubeflow: tuple[Kubeflow, str]) -> None:
    state, url = kubeflow
    submitted = submit(REQUEST, Host(url, experiment="emotions", run_name="the run", enable_caching=False))
    (run,), (experiment,) = state.runs, state.experiments
    assert (submitted.run_id, submitted.url) == ("run-1", f"{url}/#/runs/details/run-1")
    assert (run.display_name, run.experiment_id, experiment.display_name) == ("the run", "experiment-1", "emotions")
    assert set(run.pipeline_spec["root"]["dag"]["tasks"]) == {
        "download",
        "feature-extraction",
        "training",
        "evaluation",
    }
    parameters = run.runtime_config.parameters
    assert parameters["dataset_load_split_at"] == "16000"
    assert parameters["model_config"] == {"lr": 0.001, "epochs": 20, "batch_size": 32}
    assert set(parameters) == set(run.pipeline_spec["root"]["inputDefinitions"]["parameters"]) - {"receipt"}
    for task in run.pipeline_spec["root"]["dag"]["tasks"].values():
        assert not task.get("cachingOptions", {}).get("enableCache")
    assert f"Bearer {TOKEN}" in state.authorization


def test_waiting_ends_with_the_metrics(kubeflow: tuple[Kubeflow, str]) -> None:
    _, url = kubeflow
    submitted = submit(REQUEST, Host(url), wait_seconds=30)
    assert (submitted.state, submitted.metrics) == ("SUCCEEDED", METRICS)


def test_a_schedule_has_the_clock_the_pipeline_and_its_parameters(kubeflow: tuple[Kubeflow, str]) -> None:
    state, url = kubeflow
    made = schedule(REQUEST, Host(url, run_name="nightly"), "0 0 3 * * *", minimum_uar=0.5)
    (found,) = state.schedules
    assert (made.schedule_id, made.url) == ("schedule-1", f"{url}/#/recurringrun/details/schedule-1")
    assert found.display_name == "nightly"
    assert found.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert (found.max_concurrency, found.no_catchup) == ("1", True)
    assert found.runtime_config.parameters["minimum_uar"] == 0.5
    assert set(found.pipeline_spec["root"]["dag"]["tasks"]) >= {"download", "training"}
    with pytest.raises(ConfigError, match="cron: expected six fields, seconds first"):
        schedule(REQUEST, Host(url), "0 3 * * *")


def test_a_host_without_logs_is_no_error(kubeflow: tuple[Kubeflow, str]) -> None:
    state, url = kubeflow
    state.log = None
    assert submit(REQUEST, Host(url), wait_seconds=30).metrics is None


@pytest.mark.parametrize(
    ("last", "message"), [("FAILED", "ended as FAILED: pod was evicted; see http"), ("CANCELED", "ended as CANCELED")]
)
def test_a_run_that_does_not_succeed_is_an_error(kubeflow: tuple[Kubeflow, str], last: str, message: str) -> None:
    state, url = kubeflow
    state.states = ["RUNNING", last]
    with pytest.raises(TrainingError, match=message):
        submit(REQUEST, Host(url), wait_seconds=30)


def test_time_runs_out_and_says_that_the_run_goes_on(kubeflow: tuple[Kubeflow, str]) -> None:
    state, url = kubeflow
    state.states = ["RUNNING"]
    with pytest.raises(TrainingError, match=r"is RUNNING after 0\.1 s; it goes on"):
        submit(REQUEST, Host(url), wait_seconds=0.1)


def test_a_host_that_refuses_or_is_not_there_is_named(kubeflow: tuple[Kubeflow, str]) -> None:
    _, url = kubeflow
    with pytest.raises(TrainingError, match=rf"{url}/wrong: expected the API .* the host answered 404 Not Found"):
        submit(REQUEST, Host(f"{url}/wrong"))
    with pytest.raises(TrainingError, match=r"http://127\.0\.0\.1:9: .*refused"):
        submit(REQUEST, Host("http://127.0.0.1:9"))


def test_the_command_line_submits_waits_and_prints_the_metrics(kubeflow: tuple[Kubeflow, str], tmp_path: Path) -> None:
    state, url = kubeflow
    command = [sys.executable, "-m", "ser", "pipeline", "submit", "--host", url, "--experiment", "cli"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "run-1" in ended.stdout
    assert "0.750" in ended.stdout
    assert state.experiments[0].display_name == "cli"
    assert TOKEN not in ended.stdout + ended.stderr
    state.states = ["FAILED"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 4
    assert "ended as FAILED" in ended.stderr
