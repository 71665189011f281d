"""Jobs as runs on a Kubeflow host that is as the real one: strict, in pages, and not always there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ser.bundles.bundle import Bundle
from ser.bundles.model_store import write_receipt
from ser.config import parse
from ser.request import TrainRequest
from ser_inference_server.jobs.kubeflow import TOKEN_VARIABLE, KubeflowBackend, KubeflowError, KubeflowRun
from ser_inference_server.jobs.store import Job, JobStore, State
from ser_inference_server.settings import Settings
from ser_pipelines.cluster import ClusterSettings
from ser_pipelines.compiling import compile_pipelines
from tests.deadlines import tries
from tests.scripted_kubeflow import TOKEN, Kubeflow, scripted_kubeflow


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with scripted_kubeflow() as host:
        yield host


class Desk:
    """A queue with one job, and the backend that it is given to."""

    def __init__(self, host: Kubeflow, folder: Path, **settings: Any) -> None:
        usual = {"kubeflow_poll_seconds": 0.001, "training_backend": "kubeflow", "kubeflow_host": host.url}
        self.settings = Settings(**{**usual, **settings})
        self.models = folder / "models"
        self.store = JobStore(folder / "jobs.sqlite")
        request = parse(
            TrainRequest,
            {
                "data_path": "/data", "remote_url": "embedded:", "model_type": "KerasClassifier",
                "model_save_path": str(self.models), "dataset_load_split_at": 16_000, "random_state": 7,
                "dataset_load_normalize": False, "dataset_virtual_speakers": 2, "dataset_force": True,
            },
        )  # fmt: skip
        self.request = request.model_dump(mode="json", by_alias=True)
        self.job_id = self.store.add(self.request, max_queued=1).job_id
        assert self.store.start(self.job_id)
        self.backend = KubeflowBackend(self.settings, self.store)

    @property
    def job(self) -> Job:
        return self.store.get(self.job_id)

    def start(self) -> KubeflowRun:
        return self.backend.start(self.job)

    def finish(self, run: KubeflowRun) -> Job:
        """The job at its end."""
        for _ in tries(30):
            if run.is_over():
                return self.job
        raise AssertionError


@pytest.fixture
def desk(kubeflow: Kubeflow, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(kubeflow, tmp_path)
    yield desk
    desk.store.close()


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"display_name": name, "state": state, **more}


def save_model(desk: Desk, bundle: Bundle) -> None:
    shutil.copytree(bundle.folder, desk.models / bundle.manifest.model_id)
    write_receipt(desk.models, desk.job_id, {"model_id": bundle.manifest.model_id, "uar": 0.5, "minimum_uar": 0.0})


def test_the_run_has_every_field_of_the_request_and_the_job_s_name(kubeflow: Kubeflow, tmp_path: Path) -> None:
    desk = Desk(kubeflow, tmp_path, minimum_uar=0.25, kubeflow_experiment="emotions")
    desk.start()
    (run,) = kubeflow.runs
    assert run.display_name == desk.job_id
    parameters = run.runtime_config.parameters
    assert parameters == {
        **desk.request, "dataset_load_split_at": "16000", "minimum_uar": 0.25, "receipt": desk.job_id,
    }  # fmt: skip
    assert set(parameters) == set(run.pipeline_spec["root"]["inputDefinitions"]["parameters"])
    assert kubeflow.experiments == [{"experiment_id": "experiment-1", "display_name": "emotions"}]
    assert run.experiment_id == "experiment-1"
    assert desk.job.reference == "run-1"


@pytest.mark.parametrize("force", [True, False])
def test_what_is_forced_is_not_answered_from_the_host_s_cache(force: bool, kubeflow: Kubeflow, tmp_path: Path) -> None:
    desk = Desk(kubeflow, tmp_path)
    desk.request["dataset_force"] = force
    desk.job_id = desk.store.add(desk.request, max_queued=2).job_id
    assert desk.store.start(desk.job_id)
    desk.start()
    tasks = kubeflow.runs[0].pipeline_spec["root"]["dag"]["tasks"]
    cached = {name: bool(one.get("cachingOptions", {}).get("enableCache")) for name, one in tasks.items()}
    assert cached.pop("check-request") is False
    assert set(cached.values()) == {not force}
    # The next is not forced.
    desk.request["dataset_force"] = False
    desk.job_id = desk.store.add(desk.request, max_queued=2).job_id
    assert desk.store.start(desk.job_id)
    desk.start()
    tasks = kubeflow.runs[1].pipeline_spec["root"]["dag"]["tasks"]
    assert {name for name, one in tasks.items() if not one["cachingOptions"].get("enableCache")} == {"check-request"}


def test_the_pipeline_may_be_another_set_up_for_the_cluster(kubeflow: Kubeflow, tmp_path: Path) -> None:
    compile_pipelines(tmp_path / "compiled", ClusterSettings(node_selector={"pool": "batch"}))
    path = tmp_path / "compiled" / "training.yaml"
    Desk(kubeflow, tmp_path, kubeflow_pipeline=path).start()
    spec, platform = yaml.safe_load_all(path.read_text())
    assert kubeflow.runs[0].pipeline_spec["platform_spec"] == platform
    assert set(kubeflow.runs[0].pipeline_spec["pipeline_spec"]["root"]["dag"]["tasks"]) == set(
        spec["root"]["dag"]["tasks"]
    )


def test_a_host_of_many_users_is_told_the_namespace(kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.namespace = "team"
    Desk(kubeflow, tmp_path / "right", kubeflow_namespace="team").start()
    assert kubeflow.experiments == [{"experiment_id": "experiment-1", "display_name": "ser", "namespace": "team"}]
    with pytest.raises(KubeflowError, match="the host answered 400"):
        Desk(kubeflow, tmp_path / "none").start()
    assert len(kubeflow.runs) == 1


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_an_experiment_is_found_on_whichever_page_it_is(place: int, kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.experiments = [{"experiment_id": f"e-{number}", "display_name": f"other-{number}"} for number in range(5)]
    kubeflow.experiments[place]["display_name"] = "ser"
    Desk(kubeflow, tmp_path).start()
    assert kubeflow.runs[0].experiment_id == f"e-{place}"
    assert len(kubeflow.experiments) == 5


def test_an_experiment_that_is_on_no_page_is_made(kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.experiments = [{"experiment_id": f"e-{number}", "display_name": f"other-{number}"} for number in range(4)]
    Desk(kubeflow, tmp_path).start()
    assert kubeflow.experiments[-1]["display_name"] == "ser"
    assert kubeflow.runs[0].experiment_id == kubeflow.experiments[-1]["experiment_id"]


@pytest.mark.parametrize("token", ["", "another"])
def test_without_the_token_nothing_is_started(
    token: str, kubeflow: Kubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    desk = Desk(kubeflow, tmp_path)
    with pytest.raises(KubeflowError, match="the host answered 401") as refused:
        desk.start()
    assert "another" not in str(refused.value)
    assert (kubeflow.runs, desk.job.reference) == ([], None)


def test_looks_that_fail_now_and_then_do_not_fail_the_job(kubeflow: Kubeflow, desk: Desk, bundle: Bundle) -> None:
    kubeflow.states = ["RUNNING"] * 3 + ["SUCCEEDED"]
    kubeflow.failures = {"look": [500, 503]}
    run = desk.start()
    save_model(desk, bundle)
    assert desk.finish(run).state is State.SUCCEEDED
    # Refused twice in a row are no more than once: the count begins anew with each answer.
    assert kubeflow.count("look") == 6


def test_a_run_that_cannot_be_looked_at_for_long_fails_the_job(kubeflow: Kubeflow, desk: Desk) -> None:
    run = desk.start()
    kubeflow.failures = {"look": [503] * 100}
    job = desk.finish(run)
    assert job.state is State.FAILED
    assert job.error
    assert job.error["code"] == "UNAVAILABLE"
    assert "the host answered 503" in job.error["message"]
    assert 10 <= kubeflow.count("look") < 100


def test_a_run_is_looked_at_as_often_as_it_was_set(kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.states = ["RUNNING"]
    run = Desk(kubeflow, tmp_path, kubeflow_poll_seconds=60).start()
    for _ in range(3):
        assert not run.is_over()
    assert kubeflow.count("look") == 1
    run.end()  # whoever cancels wants to know soon
    assert not run.is_over()
    assert kubeflow.count("look") == 2


def test_a_cancel_that_fails_is_tried_again(kubeflow: Kubeflow, desk: Desk) -> None:
    kubeflow.states = ["RUNNING"]
    run = desk.start()
    kubeflow.failures = {"terminate": [503]}
    desk.store.cancel(desk.job_id)
    run.end()
    assert kubeflow.terminated == []
    run.end()
    assert kubeflow.terminated == ["run-1"]
    run.end()
    run.kill()
    assert kubeflow.count("terminate") == 2  # done is done
    kubeflow.states = ["CANCELED"]
    assert desk.finish(run).state is State.CANCELLED


def test_a_run_that_somebody_terminated_on_the_host_is_no_success(kubeflow: Kubeflow, desk: Desk) -> None:
    kubeflow.states = ["CANCELED"]
    job = desk.finish(desk.start())
    assert job.state is State.FAILED
    assert job.error
    assert (job.error["code"], job.error["message"]) == ("CANCELLED", "the run was terminated on the Kubeflow host")


def test_a_run_that_is_skipped_is_over_and_no_success(kubeflow: Kubeflow, desk: Desk) -> None:
    kubeflow.states = ["SKIPPED"]
    job = desk.finish(desk.start())
    assert job.state is State.FAILED
    assert job.error
    assert (job.error["code"], job.error["message"]) == ("INTERNAL", "run run-1 ended as SKIPPED")


def test_a_success_without_a_receipt_says_what_to_look_at(kubeflow: Kubeflow, desk: Desk, bundle: Bundle) -> None:
    kubeflow.states = ["SUCCEEDED"]
    save_model(desk, bundle)
    write_receipt(desk.models, "another-job", {"model_id": bundle.manifest.model_id, "uar": 0.5, "minimum_uar": 0.0})
    for path in desk.models.rglob(f"{desk.job_id}.json"):
        path.unlink()
    job = desk.finish(desk.start())
    assert job.state is State.FAILED
    assert job.error
    assert f"run run-1 succeeded, but left no receipt in {desk.models}" in job.error["message"]


def test_a_success_has_the_model_of_the_receipt(kubeflow: Kubeflow, desk: Desk, bundle: Bundle) -> None:
    kubeflow.states = ["RUNNING", "SUCCEEDED"]
    run = desk.start()
    save_model(desk, bundle)
    job, manifest = desk.finish(run), bundle.manifest
    assert job.state is State.SUCCEEDED
    assert job.result
    seconds = job.result.pop("seconds")
    assert 0 <= seconds <= time.time() - job.created
    assert job.result == {
        "model_id": manifest.model_id, "test_samples": list(manifest.validation_samples),
        "metrics": manifest.metrics, "classes": list(manifest.classes),
    }  # fmt: skip


def test_a_model_that_was_not_saved_is_told_with_both_figures(kubeflow: Kubeflow, desk: Desk) -> None:
    kubeflow.states = ["SUCCEEDED"]
    desk.models.mkdir()
    write_receipt(desk.models, desk.job_id, {"model_id": "", "uar": 0.4375, "minimum_uar": 0.6})
    job = desk.finish(desk.start())
    assert job.error
    assert job.error["code"] == "FAILED_PRECONDITION"
    assert "its UAR, 0.438, is below minimum_uar = 0.6" in job.error["message"]


@pytest.mark.parametrize(
    ("tasks", "stage", "percent"),
    [
        ([], "", 0),
        ([task("check-request", "RUNNING")], "", 0),
        ([task("check-request", "SUCCEEDED"), task("download", "RUNNING")], "download", 0),
        ([task("download", "SUCCEEDED"), task("feature-extraction", "PENDING")], "features", 20),
        (
            [task("download", "SKIPPED"), task("feature-extraction", "SKIPPED"), task("training", "RUNNING")],
            "train",
            30,
        ),
        (
            [task(name, "SUCCEEDED") for name in ("download", "feature-extraction", "training")]
            + [task("evaluation", "RUNNING")],
            "evaluate",
            95,
        ),
    ],
    ids=["nothing", "check", "download", "features", "from the cache", "evaluation"],
)
def test_the_progress_is_that_of_the_steps(
    tasks: list[dict[str, Any]], stage: str, percent: float, kubeflow: Kubeflow, desk: Desk
) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING"], tasks
    run = desk.start()
    assert not run.is_over()
    assert desk.job.progress == {"stage": stage, "done": 0, "total": 0, "unit": "", "percent": percent}
    revision = desk.job.revision
    time.sleep(0.002)
    assert not run.is_over()
    assert desk.job.revision == revision  # the same is not told twice


FAILED = [
    task("download", "SUCCEEDED"),
    task("training", "FAILED", error={"code": 13, "message": "main: Error (exit code 4)"}, pod_name="pod-driver",
         child_tasks=[{"pod_name": "pod-training"}]),
    task("evaluation", "FAILED", error={"code": 13, "message": "main: Error (exit code 2)"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("ser: one\nser: the loss is not finite\nlast line\n", "the loss is not finite"),
        ("nothing of ours\n", "step training of run run-1: main: Error (exit code 4)"),
        (None, "step training of run run-1: main: Error (exit code 4)"),
    ],
    ids=["words", "none", "no log"],
)
def test_a_failure_is_that_of_the_first_step_that_failed(
    log: str | None, says: str, kubeflow: Kubeflow, desk: Desk
) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], FAILED
    kubeflow.logs = {} if log is None else {"pod-training": log}
    job = desk.finish(desk.start())
    assert job.error
    assert (job.error["code"], job.error["message"]) == ("FAILED_PRECONDITION", says)


def test_what_the_first_step_refuses_is_told(kubeflow: Kubeflow, desk: Desk) -> None:
    refused = {"code": 13, "message": "main: Error (exit code 4)"}
    kubeflow.states = ["FAILED"]
    kubeflow.tasks = [task("check-request", "FAILED", error=refused, child_tasks=[{"pod_name": "pod-check"}])]
    kubeflow.logs = {"pod-check": "ser: the encoder is not there\n"}
    job = desk.finish(desk.start())
    assert job.error
    assert (job.error["code"], job.error["message"]) == ("FAILED_PRECONDITION", "the encoder is not there")


def test_a_failure_of_the_run_itself_has_the_run_s_words(kubeflow: Kubeflow, desk: Desk) -> None:
    kubeflow.states, kubeflow.error = ["FAILED"], "no quota"
    job = desk.finish(desk.start())
    assert job.error
    assert (job.error["code"], job.error["message"]) == ("INTERNAL", "no quota")


def test_the_next_server_finds_the_run_and_only_a_run(kubeflow: Kubeflow, desk: Desk, bundle: Bundle) -> None:
    assert desk.backend.find(desk.job) is None
    desk.start()
    kubeflow.states = ["SUCCEEDED"]
    save_model(desk, bundle)
    found = KubeflowBackend(desk.settings, desk.store).find(desk.job)
    assert found is not None
    assert not found.leave(1.0)  # it goes on without this server
    assert desk.finish(found).state is State.SUCCEEDED
    assert len(kubeflow.runs) == 1
