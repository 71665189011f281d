"""Trainings as runs of the training pipeline on a Kubeflow host, over its v2beta1 API.

The run's parameters are the request's fields. Its last step leaves a receipt beside the models, which says which one
was saved: the API has no way to ask. A run outlives this server; the next one finds it by its id.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import kfp_server_api
import urllib3
import yaml

from ser.bundles.model_store import load_manifest, read_receipt
from ser.cli.console import ERROR_PREFIX, EXIT_STATUS
from ser.errors import Code, SerError
from ser_inference_server.jobs.errors import QueueError
from ser_inference_server.jobs.store import Job, JobStore, error_record
from ser_inference_server.jobs.weights import WEIGHTS
from ser_inference_server.settings import Settings

TOKEN_VARIABLE = "KFP_TOKEN"  # noqa: S105 - the name of a variable, not a secret
_STAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "check-request": (),
        "download": ("download", "synthesise", "extract", "prepare"),
        "feature-extraction": ("features",),
        "training": ("train",),
        "evaluation": ("evaluate",),
    }
)
"""Step of the pipeline to the stages that it does."""
_CODES: Mapping[int, Code] = MappingProxyType(
    {status: code for code, status in reversed(list(EXIT_STATUS.items())) if code is not Code.INTERNAL}
)
_EXIT = re.compile(r"exit (?:code|status):? (\d+)")
_ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
_SECONDS_TO_ANSWER = 10.0
_FAILED_LOOKS = 60
"""So many looks at a run may fail, one after another, before its job does."""
logger = logging.getLogger("ser.jobs")


class KubeflowError(SerError):
    """The Kubeflow host cannot be reached, or refuses."""

    code = Code.UNAVAILABLE


class KubeflowBackend:
    """See `ser_inference_server.jobs.backend.Backend`."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self._settings = settings
        self._store = store
        self._pipeline = _pipeline(settings.kubeflow_pipeline)
        configuration = kfp_server_api.Configuration(host=settings.kubeflow_host.rstrip("/"))
        if token := os.environ.get(TOKEN_VARIABLE):
            configuration.api_key = {"authorization": token}
            configuration.api_key_prefix = {"authorization": "Bearer"}
        self._client = kfp_server_api.ApiClient(configuration)
        self._runs = kfp_server_api.RunServiceApi(self._client)
        self._experiments = kfp_server_api.ExperimentServiceApi(self._client)

    def start(self, job: Job) -> KubeflowRun:
        """See `Backend.start`."""
        request = {**job.request, "dataset_load_split_at": str(job.request["dataset_load_split_at"])}
        parameters = {**request, "minimum_uar": self._settings.minimum_uar, "receipt": job.job_id}
        with _errors(self._settings.kubeflow_host):
            ordered = kfp_server_api.V2beta1Run(
                display_name=job.job_id,
                experiment_id=self._experiment(),
                pipeline_spec=_without_cache(self._pipeline) if request["dataset_force"] else self._pipeline,
                runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=parameters),
            )
            created = self._runs.run_service_create_run(ordered, _request_timeout=_SECONDS_TO_ANSWER)
        logger.info("job has a run", extra={"job_id": job.job_id, "run_id": created.run_id})
        run = KubeflowRun(job, created.run_id, self._runs, self._store, self._settings)
        with contextlib.suppress(QueueError):  # the run is there: it is told when it is looked at
            run.refer()
        return run

    def find(self, job: Job) -> KubeflowRun | None:
        """See `Backend.find`."""
        if job.reference is None:
            return None
        return KubeflowRun(job, job.reference, self._runs, self._store, self._settings)

    def _experiment(self) -> str:
        settings = self._settings
        namespace = {"namespace": settings.kubeflow_namespace} if settings.kubeflow_namespace else {}
        page: str | None = ""
        while page is not None:
            found = self._experiments.experiment_service_list_experiments(
                page_token=page, page_size=100, _request_timeout=_SECONDS_TO_ANSWER, **namespace
            )
            for experiment in found.experiments or []:
                if experiment.display_name == settings.kubeflow_experiment:
                    return str(experiment.experiment_id)
            page = found.next_page_token or None
        wanted = kfp_server_api.V2beta1Experiment(display_name=settings.kubeflow_experiment, **namespace)
        created = self._experiments.experiment_service_create_experiment(wanted, _request_timeout=_SECONDS_TO_ANSWER)
        return str(created.experiment_id)


class KubeflowRun:
    """See `ser_inference_server.jobs.backend.Run`."""

    def __init__(
        self, job: Job, run_id: str, runs: kfp_server_api.RunServiceApi, store: JobStore, settings: Settings
    ) -> None:
        self._job = job
        self._run_id = run_id
        self._runs = runs
        self._store = store
        self._settings = settings
        self._look_at = 0.0
        self._failed_looks = 0
        self._terminated = False
        self._referred = job.reference is not None
        self._told: dict[str, Any] | None = None

    def refer(self) -> None:
        """Has the queue keep the run's id, so that the next server finds it."""
        if not self._referred:
            self._store.refer(self._job.job_id, self._run_id)
            self._referred = True

    def is_over(self) -> bool:
        """See `Run.is_over`."""
        self.refer()
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + self._settings.kubeflow_poll_seconds
        try:
            with _errors(self._settings.kubeflow_host):
                run = self._runs.run_service_get_run(self._run_id, _request_timeout=_SECONDS_TO_ANSWER)
        except KubeflowError as error:
            self._failed_looks += 1
            logger.warning("run cannot be looked at: %s", error, extra={"job_id": self._job.job_id})
            if self._failed_looks < _FAILED_LOOKS:
                return False
            self._store.fail(self._job.job_id, error_record(error.code, str(error)))
            return True
        self._failed_looks = 0
        if run.state not in _ENDED:
            self._tell(run)
            return False
        self._conclude(run)
        return True

    def end(self) -> None:
        """See `Run.end`."""
        if self._terminated:
            return
        try:
            with _errors(self._settings.kubeflow_host):
                self._runs.run_service_terminate_run(self._run_id, _request_timeout=_SECONDS_TO_ANSWER)
        except KubeflowError as error:
            logger.warning("run cannot be terminated: %s", error, extra={"job_id": self._job.job_id})
            return
        self._terminated = True
        self._look_at = 0.0

    def kill(self) -> None:
        """See `Run.kill`: there is nothing harder than to terminate it."""
        self.end()

    def leave(self, seconds: float) -> bool:  # noqa: ARG002 - it goes on
        """See `Run.leave`."""
        return False

    def _tell(self, run: Any) -> None:
        """Which step runs; the API does not say how far it is."""
        done, stage = 0.0, None
        for name, stages in _STAGES.items():
            state = next((task.state for task in _tasks(run) if task.display_name == name), None)
            if state in ("SUCCEEDED", "SKIPPED"):  # skipped: answered from the host's cache
                done += sum(WEIGHTS[one] for one in stages)
            elif state is not None and stage is None:
                stage = next(iter(stages), None)
        record = {"stage": stage or "", "done": 0, "total": 0, "unit": "", "percent": round(done, 1)}
        if record != self._told:
            self._store.tell(self._job.job_id, record)
            self._told = record

    def _conclude(self, run: Any) -> None:
        job_id = self._job.job_id
        if run.state == "CANCELED":
            reason = "the run was terminated on the Kubeflow host"
            self._store.fail(job_id, error_record(Code.CANCELLED, reason))
        elif run.state != "SUCCEEDED":
            self._store.fail(job_id, self._failure(run))
        else:
            try:
                result = self._result()
            except SerError as error:
                self._store.fail(job_id, error_record(error.code, str(error), error))
            else:
                self._store.succeed(job_id, result)

    def _result(self) -> dict[str, Any]:
        place = self._job.request["model_save_path"]
        receipt = read_receipt(place, self._job.job_id)
        if receipt is None:
            raise KubeflowError(
                f"run {self._run_id} succeeded, but left no receipt in {place}: do the run's steps and this server "
                "mean the same place by it?"
            )
        if not receipt["model_id"]:
            raise BelowMinimumError(
                f"the model was not saved: its UAR, {receipt['uar']:.3f}, is below minimum_uar = "
                f"{receipt['minimum_uar']:g}"
            )
        manifest = load_manifest(place, receipt["model_id"])
        return {
            "model_id": manifest.model_id,
            "test_samples": list(manifest.validation_samples),
            "metrics": manifest.metrics,
            "classes": list(manifest.classes),
            "seconds": round(time.time() - (self._job.started or self._job.created), 3),
        }

    def _failure(self, run: Any) -> dict[str, Any]:
        """The error of the first step that failed: by its last words if the host has them, else by its status."""
        failed = [task for task in _tasks(run) if task.state == "FAILED" and task.display_name in _STAGES]
        message = (run.error.message if run.error else "") or f"run {self._run_id} ended as {run.state}"
        if not failed:
            return error_record(Code.INTERNAL, message)
        said = failed[0].error.message if failed[0].error and failed[0].error.message else message
        status = _EXIT.search(said)
        code = _CODES.get(int(status[1]), Code.INTERNAL) if status else Code.INTERNAL
        words = self._last_words(failed[0])
        return error_record(code, words or f"step {failed[0].display_name} of run {self._run_id}: {said}")

    def _last_words(self, task: Any) -> str:
        pods = [task.pod_name, *(child.pod_name for child in task.child_tasks or [])]
        for pod in filter(None, pods):
            try:
                log, *_ = self._runs.api_client.call_api(  # the generated client has no method for logs
                    f"/apis/v1alpha1/runs/{self._run_id}/nodes/{pod}/log",
                    "GET",
                    response_type="str",
                    auth_settings=["Bearer"],
                    _request_timeout=_SECONDS_TO_ANSWER,
                )
            except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError):
                continue  # the driver's pod, or a host that keeps no logs
            lines = [line for line in str(log).splitlines() if line.startswith(ERROR_PREFIX)]
            if lines:
                return lines[-1].removeprefix(ERROR_PREFIX)
        return ""


class BelowMinimumError(SerError):
    """A model is not good enough to be saved."""

    code = Code.FAILED_PRECONDITION


def _tasks(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details else None) or []


def _pipeline(path: Path | None) -> dict[str, Any]:
    """The compiled pipeline as the API takes it."""
    if path is None:
        text = resources.files("ser_pipelines").joinpath("compiled/training.yaml").read_text(encoding="utf-8")
    else:
        text = path.read_text(encoding="utf-8")
    spec, *platform = [document for document in yaml.safe_load_all(text) if document]
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec


def _without_cache(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline with steps that are never answered from the host's cache; its key does not know of a forced run."""
    changed = copy.deepcopy(dict(pipeline))
    spec = changed.get("pipeline_spec", changed)
    for dag in (part.get("dag", {}) for part in (spec["root"], *spec["components"].values())):
        for task in dag.get("tasks", {}).values():
            task["cachingOptions"] = {}
    return changed


@contextlib.contextmanager
def _errors(host: str) -> Iterator[None]:
    try:
        yield
    except kfp_server_api.ApiException as error:
        raise KubeflowError(f"{host}: the host answered {error.status} {error.reason}") from error
    except urllib3.exceptions.HTTPError as error:
        raise KubeflowError(f"{host}: {error}") from error
