"""A Kubeflow host on loopback that says what a test has it say, and holds its callers to the v2beta1 REST API.

It is as strict as the real host of many users: each call brings the token, experiments are listed and made in the
namespace, lists come in pages, and a request with a field that the API does not know is refused. No step is run;
`tests.kubeflow_host` has a host that runs them.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kfp_server_api

from tests.kubeflow_host import read

TOKEN = "the-secret-token"  # noqa: S105 - a test's
PAGE = 2


@dataclass
class Kubeflow:
    """What the host is to say, and what it was asked."""

    url: str = ""
    namespace: str | None = None
    """Of a host of many users: the one that callers must name."""
    token: str | None = TOKEN
    experiments: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    """Of the run, one a look; the last stays."""
    tasks: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    """Of the run as a whole."""
    logs: dict[str, str] = field(default_factory=dict)
    """Pod to its log; other pods have none."""
    failures: dict[str, list[int]] = field(default_factory=dict)
    """Kind of call (experiments, create, look, terminate, log) to the statuses that its next ones are refused with."""
    runs: list[kfp_server_api.V2beta1Run] = field(default_factory=list)
    schedules: list[kfp_server_api.V2beta1RecurringRun] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Kinds of the calls so far."""
    terminated: list[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many calls of a kind there were."""
        return self.calls.count(kind)

    def list_experiments(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of the experiments, as the host lists them."""
        if self.namespace and query.get("namespace") != self.namespace:
            raise ValueError("a resource reference to a namespace is needed on a multi-user host")
        found = [one for one in self.experiments if one.get("namespace") == (query.get("namespace") or None)]
        if wanted := query.get("filter"):
            (predicate,) = json.loads(wanted)["predicates"]
            assert (predicate["key"], predicate["operation"]) == ("display_name", 1)
            found = [one for one in found if one["display_name"] == predicate["stringValue"]]
        start = int(query.get("page_token") or 0)
        more = {"next_page_token": str(start + PAGE)} if start + PAGE < len(found) else {}
        return {"experiments": found[start : start + PAGE], **more}

    def make_experiment(self, body: bytes) -> dict[str, Any]:
        """Adds one."""
        wanted = read(body, "V2beta1Experiment")
        if self.namespace and wanted.namespace != self.namespace:
            raise ValueError("expected the namespace")
        made = {"experiment_id": f"experiment-{len(self.experiments) + 1}", "display_name": wanted.display_name}
        if wanted.namespace:
            made["namespace"] = wanted.namespace
        self.experiments.append(made)
        return made

    def look(self) -> dict[str, Any]:
        """The run as it stands."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        error = {"error": {"code": 9, "message": self.error}} if self.error and state == "FAILED" else {}
        return {"run_id": "run-1", "state": state, "run_details": {"task_details": self.tasks}, **error}


class _Handler(BaseHTTPRequestHandler):
    kubeflow: Kubeflow

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        host = self.kubeflow
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        kind, pod = _kind(self.command, address.path)
        if host.token and self.headers.get("Authorization") != f"Bearer {host.token}":
            self._answer({"error": "who are you?"}, status=401)
            return
        host.calls.append(kind)
        if refused := host.failures.get(kind):
            self._answer({"error": "not now"}, status=refused.pop(0))
            return
        try:
            self._answer(self._do(kind, pod, query, body), status=200)
        except LookupError:
            self._answer({"error": "not found"}, status=404)
        except ValueError as error:
            self._answer({"error": str(error)}, status=400)

    def _do(self, kind: str, pod: str, query: dict[str, str], body: bytes) -> object:
        host = self.kubeflow
        match kind:
            case "health":
                return {"multi_user": host.namespace is not None}
            case "experiments":
                return host.list_experiments(query)
            case "experiment":
                return host.make_experiment(body)
            case "create":
                host.runs.append(read(body, "V2beta1Run"))
                return {"run_id": "run-1", "state": "PENDING"}
            case "schedule":
                host.schedules.append(read(body, "V2beta1RecurringRun"))
                return {"recurring_run_id": "schedule-1"}
            case "look":
                return host.look()
            case "terminate":
                host.terminated.append("run-1")
                return {}
            case "log":
                return host.logs[pod]
        raise LookupError

    def _answer(self, content: object, *, status: int) -> None:
        text = isinstance(content, str)
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


_KINDS = {
    ("GET", "/apis/v2beta1/healthz"): "health",
    ("GET", "/apis/v2beta1/experiments"): "experiments",
    ("POST", "/apis/v2beta1/experiments"): "experiment",
    ("POST", "/apis/v2beta1/runs"): "create",
    ("POST", "/apis/v2beta1/recurringruns"): "schedule",
    ("GET", "/apis/v2beta1/runs/run-1"): "look",
    ("POST", "/apis/v2beta1/runs/run-1:terminate"): "terminate",
}


def _kind(method: str, path: str) -> tuple[str, str]:
    if found := re.fullmatch(r"/apis/v1alpha1/runs/run-1/nodes/([\w-]+)/log", path):
        return "log", found[1]
    return _KINDS.get((method, path), "unknown"), ""


@contextmanager
def scripted_kubeflow() -> Iterator[Kubeflow]:
    """A host until the end of the context."""
    kubeflow = Kubeflow()
    handler = type("BoundHandler", (_Handler,), {"kubeflow": kubeflow})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        kubeflow.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield kubeflow
        finally:
            http.shutdown()
            thread.join(30)
