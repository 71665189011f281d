"""One suite for both backends: child processes here, runs of the pipeline on a Kubeflow host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deadlines import tries
from tests.inference_server.harness import Server, serve
from tests.kubeflow_host import STEPS, KubeflowHost, kubeflow_host
from tests.signals import tone, wav

BACKENDS = ("local", "kubeflow")


@dataclass
class Setting:
    server: Server
    host: KubeflowHost | None
    settings: dict[str, Any]

    def order(self, **changes: Any) -> dict[str, Any]:
        return {
            "data_path": str(self.server.data), "remote_url": "embedded:?clips=30", "model_type": "KerasClassifier",
            "model_save_path": str(self.server.models), "model_config": {"epochs": 2}, **changes,
        }  # fmt: skip


@pytest.fixture(params=BACKENDS)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    with ExitStack() as stack:
        host, settings = None, {"training_backend": request.param}
        if request.param == "kubeflow":
            host = stack.enter_context(kubeflow_host(tmp_path / "host"))
            settings |= {"kubeflow_host": host.url, "kubeflow_poll_seconds": 0.05}
        server = stack.enter_context(serve(tmp_path / "server", **settings))
        yield Setting(server, host, settings)


def watch(setting: Setting, job_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, once it is so, or over."""
    with setting.server.client() as client:
        for _ in tries():
            job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
            if until(job) or job["state"] not in ("QUEUED", "RUNNING"):
                return job
    raise AssertionError


def test_train_answers_with_a_model_that_is_served(setting: Setting) -> None:
    with setting.server.client() as client:
        answer = client.post("/train", json=setting.order())
        assert answer.status_code == 200, answer.text
        result = answer.json()
        sample = result["test_samples"][0]
        predicted = client.post("/predict", json={"model_id": result["model_id"], "sample_name": sample})
        assert predicted.status_code == 200
        recorded = client.post("/predict", files={"audio": wav(tone())}, data={"model_id": result["model_id"]})
        assert recorded.json()["prediction"] in result["classes"]
    assert set(result["metrics"]) == {"accuracy", "uar", "macro_f1", "chance"}
    if setting.host:
        (run,) = setting.host.runs.values()
        assert list(run.tasks) == list(STEPS)
        assert setting.host.experiments == [{"experiment_id": "e-1", "display_name": "ser"}]


def test_a_job_tells_its_stage_and_can_be_cancelled(setting: Setting) -> None:
    with setting.server.client() as client:
        job_id = client.post("/jobs", json=setting.order(model_config={"epochs": 100_000})).json()["job_id"]
        job = watch(setting, job_id, lambda job: job.get("progress", {}).get("stage") == "train")
        assert job["state"] == "RUNNING", job
        assert 0 < job["progress"]["percent"] < 100
        client.post(f"/jobs/{job_id}:cancel", json={})
        assert watch(setting, job_id, lambda _: False)["state"] == "CANCELLED"
        if setting.host:
            assert setting.host.runs["run-1"].terminate.is_set()
        assert client.get("/models").json() == {"models": []}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"remote_url": "http://127.0.0.1:9/corpus.zip"}, 400, "127.0.0.1:9"),
        ({"remote_url": "embedded:?clips=3"}, 400, "expected 14 to"),
    ],
)
def test_failures_are_the_same_errors(setting: Setting, change: dict[str, str], status: int, says: str) -> None:
    settings = {**setting.settings, "allowed_hosts": "127.0.0.1"}
    with serve(setting.server.log.parent.parent / "another", **settings) as server, server.client() as client:
        order = {**setting.order(**change), "data_path": str(server.data), "model_save_path": str(server.models)}
        answer = client.post("/train", json=order)
        assert answer.status_code == status, answer.text
        assert says in answer.json()["message"]


def test_a_restart_takes_up_or_fails_what_ran(setting: Setting, tmp_path: Path) -> None:
    with setting.server.client() as client:
        job_id = client.post("/jobs", json=setting.order(model_config={"epochs": 100_000})).json()["job_id"]
        watch(setting, job_id, lambda job: job.get("progress", {}).get("stage") == "train")
    setting.server.process.kill()
    setting.server.process.wait()
    with serve(tmp_path / "server", **setting.settings) as again:
        setting.server = again
        job = watch(setting, job_id, lambda job: job["state"] == "RUNNING")
        if setting.host is None:
            assert job["state"] == "FAILED"
            assert "the server died while the job ran" in job["error"]["message"]
        else:
            assert job["state"] == "RUNNING"
            setting.host.runs["run-1"].terminate.set()
            job = watch(setting, job_id, lambda _: False)
            assert job["state"] == "FAILED"
            assert "terminated on the Kubeflow host" in job["error"]["message"]


def test_a_host_without_logs_still_gives_the_kind_of_failure(tmp_path: Path) -> None:
    with kubeflow_host(tmp_path / "host") as host:
        host.keeps_logs = False
        settings = {"training_backend": "kubeflow", "kubeflow_host": host.url, "kubeflow_poll_seconds": 0.05}
        with serve(tmp_path / "server", **settings) as server, server.client() as client:
            answer = client.post("/train", json=Setting(server, host, settings).order(remote_url="embedded:?clips=3"))
            assert answer.status_code == 400
            assert "main: Error (exit code 2)" in answer.json()["message"]


def test_a_model_below_the_minimum_is_not_saved(tmp_path: Path) -> None:
    with kubeflow_host(tmp_path / "host") as host:
        settings = {
            "training_backend": "kubeflow", "kubeflow_host": host.url, "kubeflow_poll_seconds": 0.05, "minimum_uar": 1,
        }  # fmt: skip
        with serve(tmp_path / "server", **settings) as server, server.client() as client:
            answer = client.post("/train", json=Setting(server, host, settings).order())
            assert answer.status_code == 400
            assert "is below minimum_uar = 1" in answer.json()["message"]
            assert client.get("/models").json() == {"models": []}


def test_a_host_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    settings = {"training_backend": "kubeflow", "kubeflow_host": "http://127.0.0.1:9"}
    with serve(tmp_path / "server", **settings) as server, server.client() as client:
        answer = client.post("/train", json=Setting(server, None, settings).order())
        assert answer.status_code == 503
        assert "http://127.0.0.1:9" in answer.json()["message"]


def test_a_corpora_file_is_not_handed_to_kubeflow(tmp_path: Path) -> None:
    # Its steps do not know what this server must not fetch.
    settings = {"training_backend": "kubeflow", "kubeflow_host": "http://127.0.0.1:9", "allowed_hosts": "127.0.0.1"}
    with serve(tmp_path / "server", **settings) as server, server.client() as client:
        answer = client.post("/train", json=server.request(remote_url="http://127.0.0.1:9/corpora.yaml"))
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(
            "remote_url: expected a zip: this server hands trainings to Kubeflow"
        )
