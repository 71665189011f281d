"""A Kubeflow host on loopback that holds to the v2beta1 REST API and really runs the steps, in this process.

Requests are read with the models of `kfp_server_api`: what has a field that the API does not know, or parameters that
the pipeline does not have, or lacks, is refused as the real host refuses it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kfp_server_api
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from ser.cli.console import ERROR_PREFIX, EXIT_STATUS
from ser.config import parse
from ser.errors import SerError
from ser.progress import Progress
from ser.request import DownloadConfig, FeatureConfig, ModelRequest, PublishConfig, TrainingConfig
from ser.steps.checking import check_request
from ser.steps.download import download
from ser.steps.evaluation import evaluate, publish
from ser.steps.feature_extraction import extract_features
from ser.steps.training import train

STEPS = ("check-request", "download", "feature-extraction", "training", "evaluation")


class TerminatedError(BaseException):
    """Somebody terminated the run."""


@dataclass
class HostedRun:
    """A run and how its tasks stand."""

    run_id: str
    request: Any
    state: str = "PENDING"
    tasks: dict[str, str] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    terminate: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        tasks = []
        for name, state in self.tasks.items():
            task: dict[str, Any] = {"display_name": name, "state": state, "child_tasks": [{"pod_name": f"pod-{name}"}]}
            if name in self.exits:
                task["error"] = {"code": 13, "message": f"main: Error (exit code {self.exits[name]})"}
            tasks.append(task)
        return {"run_id": self.run_id, "state": self.state, "run_details": {"task_details": tasks}}


class KubeflowHost:
    """What was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.runs: dict[str, HostedRun] = {}
        self.experiments: list[dict[str, Any]] = []
        self.threads: list[threading.Thread] = []
        self.keeps_logs = True

    def create(self, body: bytes) -> HostedRun:
        request = read(body, "V2beta1Run")
        given = request.pipeline_spec.get("pipeline_spec", request.pipeline_spec)
        spec = json_format.ParseDict(given, pipeline_spec_pb2.PipelineSpec())
        inputs = spec.root.input_definitions.parameters
        parameters = request.runtime_config.parameters
        unknown = parameters.keys() - inputs.keys()
        missing = {n for n, one in inputs.items() if not one.is_optional} - parameters.keys()
        if unknown or missing or request.experiment_id not in {one["experiment_id"] for one in self.experiments}:
            raise ValueError(f"unknown parameters {unknown}, missing {missing}, experiment {request.experiment_id}")
        defaults = {
            name: json_format.MessageToDict(one.default_value) for name, one in inputs.items() if one.is_optional
        }
        run = HostedRun(f"run-{len(self.runs) + 1}", request)
        self.runs[run.run_id] = run
        thread = threading.Thread(target=self._work, args=(run, {**defaults, **parameters}))
        self.threads.append(thread)
        thread.start()
        return run

    def _work(self, run: HostedRun, parameters: dict[str, Any]) -> None:
        folder = self.folder / run.run_id
        folder.mkdir(parents=True)
        corpus, features, model, report = (folder / name for name in ("corpus", "features", "model", "report"))

        def told(progress: Progress) -> None:  # noqa: ARG001 - only where it may be stopped
            if run.terminate.is_set():
                raise TerminatedError

        def part(config: Any) -> Any:
            names = {one.alias or name for name, one in config.model_fields.items()}
            return parse(config, {name: value for name, value in parameters.items() if name in names})

        steps = {
            "check-request": lambda: check_request(part(ModelRequest).model_dump(by_alias=True)),
            "download": lambda: download(part(DownloadConfig), corpus, report=told),
            "feature-extraction": lambda: extract_features(corpus, features, part(FeatureConfig), report=told),
            "training": lambda: train(features, model, part(TrainingConfig), report=told),
            "evaluation": lambda: (
                evaluate(model, report, features, report=told),
                publish(model, report, part(PublishConfig)),
            ),
        }
        run.state = "RUNNING"
        for name in STEPS:
            run.tasks[name] = "RUNNING"
            try:
                steps[name]()
            except TerminatedError:
                run.tasks[name] = run.state = "CANCELED"
                return
            except SerError as error:
                run.logs[name] = f"some line\n{ERROR_PREFIX}{error}\n"
                run.exits[name] = EXIT_STATUS[error.code]
                run.tasks[name] = run.state = "FAILED"
                return
            run.tasks[name] = "SUCCEEDED"
        run.state = "SUCCEEDED"


def read(body: bytes, model: str) -> Any:
    """A request's body as the API's model; unknown fields fail."""
    known = set(getattr(kfp_server_api, model).attribute_map.values())
    if unknown := set(json.loads(body)) - known:
        raise ValueError(f"{model} has no {unknown}")

    class Response:
        data = body.decode()

    return kfp_server_api.ApiClient().deserialize(Response, model)


class Handler(BaseHTTPRequestHandler):
    host: KubeflowHost

    def do_GET(self) -> None:
        host, path = self.host, self.path.partition("?")[0]
        if path == "/apis/v2beta1/experiments":
            self._answer({"experiments": host.experiments})
        elif (found := re.fullmatch(r"/apis/v2beta1/runs/([\w-]+)", path)) and found[1] in host.runs:
            self._answer(host.runs[found[1]].to_json())
        elif (found := re.fullmatch(r"/apis/v1alpha1/runs/([\w-]+)/nodes/pod-([\w-]+)/log", path)) and host.keeps_logs:
            self._answer(host.runs[found[1]].logs.get(found[2], ""))
        else:
            self._answer({"error": "not found"}, 404)

    def do_POST(self) -> None:
        host, path = self.host, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if path == "/apis/v2beta1/experiments":
                experiment = read(body, "V2beta1Experiment")
                host.experiments.append({"experiment_id": "e-1", "display_name": experiment.display_name})
                self._answer(host.experiments[-1])
            elif path == "/apis/v2beta1/runs":
                self._answer(host.create(body).to_json())
            elif found := re.fullmatch(r"/apis/v2beta1/runs/([\w-]+):terminate", path):
                host.runs[found[1]].terminate.set()
                self._answer({})
            else:
                self._answer({"error": "not found"}, 404)
        except ValueError as error:
            self._answer({"error": str(error)}, 400)

    def _answer(self, content: object, status: int = 200) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def kubeflow_host(folder: Path) -> Iterator[KubeflowHost]:
    """A host until the end of the context; its runs are terminated then."""
    host = KubeflowHost(folder)
    handler = type("BoundHandler", (Handler,), {"host": host})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        host.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield host
        finally:
            for run in host.runs.values():
                run.terminate.set()
            for one in host.threads:
                one.join()
            http.shutdown()
            thread.join()
