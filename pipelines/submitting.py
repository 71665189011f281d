"""Submit the training pipeline to a Kubeflow host, wait for its end, and read the metrics."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError, FieldViolation, TrainingError
from ser.request import TrainRequest
from ser_pipelines.compiling import TRAINING, compile_pipelines
from ser_pipelines.local import parameters

if TYPE_CHECKING:
    import kfp

    from ser_pipelines.cluster import ClusterSettings

TOKEN_VARIABLE = "KFP_TOKEN"  # noqa: S105 - the name of a variable, not a secret
"""Environment variable with the bearer token for the host."""
_ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
_FAILED_LOOKS = 60
"""So many looks at a run may fail, one after another, before nobody waits for it any more."""


@dataclass(frozen=True)
class SubmittedRun:
    """A run on a Kubeflow host."""

    run_id: str
    url: str
    """Its page."""
    state: str | None = None
    """How it ended; None if nobody waited."""
    metrics: dict[str, float] | None = None
    """None if nobody waited, or the host does not give the log that has them."""


@dataclass(frozen=True)
class Host:
    """Where and how to submit."""

    url: str
    """Address of the Kubeflow Pipelines API, as `https://kubeflow.example.org/pipeline`."""
    namespace: str | None = None
    """The user's namespace on a multi-user host."""
    experiment: str = "ser"
    run_name: str | None = None
    pipeline_root: str | None = None
    """Where the host keeps artifacts, by default its own choice."""
    enable_caching: bool | None = None
    """Whether steps may be answered from the host's cache; by default they may."""


@dataclass(frozen=True)
class Schedule:
    """A run that the host starts again and again."""

    schedule_id: str
    url: str
    """Its page."""


def schedule(
    request: TrainRequest,
    host: Host,
    cron: str,
    *,
    minimum_uar: float = 0.0,
    cluster: ClusterSettings | None = None,
) -> Schedule:
    """Has the training pipeline run by the clock, one run at a time; runs that were missed are not made up for.

    Args:
        request: What to train, as `submit`.
        host: Where and how; its `run_name` is the schedule's name.
        cron: Seconds, minutes, hours, day of the month, month, weekday.
        minimum_uar: Least UAR, 0 to 1, of a model that is saved.
        cluster: What the cluster gives the steps.

    Raises:
        ConfigError: If `cron` has not six fields.
        TrainingError: If the host refuses or cannot be reached.
    """
    if len(cron.split()) != 6:
        raise ConfigError(
            [FieldViolation("cron", f"expected six fields, seconds first, as '0 0 3 * * *', got {cron!r}")]
        )
    with _errors_of(host), tempfile.TemporaryDirectory() as folder:
        client = _client(host)
        compile_pipelines(Path(folder), cluster)
        experiment = client.create_experiment(host.experiment, namespace=host.namespace)
        created = client.create_recurring_run(
            experiment.experiment_id,
            host.run_name or "ser-training",
            cron_expression=cron,
            max_concurrency=1,
            no_catchup=True,
            params={**parameters(request), "minimum_uar": minimum_uar},
            pipeline_package_path=str(Path(folder) / TRAINING.name),
            pipeline_root=host.pipeline_root,
            enable_caching=host.enable_caching,
        )
    identifier = created.recurring_run_id
    return Schedule(identifier, f"{host.url.rstrip('/')}/#/recurringrun/details/{identifier}")


def submit(
    request: TrainRequest,
    host: Host,
    *,
    minimum_uar: float = 0.0,
    cluster: ClusterSettings | None = None,
    wait_seconds: float | None = None,
) -> SubmittedRun:
    """Submits the training pipeline.

    Args:
        request: What to train. Its paths are paths inside the steps' containers.
        host: Where and how.
        minimum_uar: Least UAR, 0 to 1, of a model that is saved.
        cluster: What the cluster gives the steps.
        wait_seconds: Wait for the run's end at most this long; None returns at once.

    Raises:
        TrainingError: If the host refuses or cannot be reached, the run does not succeed, or time runs out.
    """
    with _errors_of(host):
        client = _client(host)
        with tempfile.TemporaryDirectory() as folder:
            compile_pipelines(Path(folder), cluster)
            run = client.create_run_from_pipeline_package(
                str(Path(folder) / TRAINING.name),
                arguments={**parameters(request), "minimum_uar": minimum_uar},
                run_name=host.run_name,
                experiment_name=host.experiment,
                namespace=host.namespace,
                pipeline_root=host.pipeline_root,
                enable_caching=host.enable_caching,
            )
        url = f"{host.url.rstrip('/')}/#/runs/details/{run.run_id}"
        if wait_seconds is None:
            return SubmittedRun(run.run_id, url)
        ended = _wait(client, run.run_id, wait_seconds)
        if ended.state != "SUCCEEDED":
            reason = f": {ended.error.message}" if ended.error and ended.error.message else ""
            raise TrainingError(f"run {run.run_id} ended as {ended.state}{reason}; see {url}")
        return SubmittedRun(run.run_id, url, ended.state, _metrics(client, ended))


@contextlib.contextmanager
def _errors_of(host: Host) -> Iterator[None]:
    import kfp_server_api
    import urllib3

    try:
        yield
    except kfp_server_api.ApiException as error:
        raise TrainingError(f"{host.url}: the host answered {error.status} {error.reason}: {error.body}") from error
    except urllib3.exceptions.HTTPError as error:
        raise TrainingError(f"{host.url}: {error}") from error


def _probe(host: Host) -> None:
    """Asks once whether the API is there: `kfp.Client` asks five times in 25 seconds, and logs each trace."""
    import urllib3

    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{host.url.rstrip('/')}/apis/v2beta1/healthz"
    answer = urllib3.request("GET", url, headers=headers, retries=False, timeout=30.0)
    if answer.status != 200:
        hint = f"; is {TOKEN_VARIABLE} set and valid?" if answer.status in (401, 403) else ""
        raise TrainingError(
            f"{host.url}: expected the API of Kubeflow Pipelines 2, the host answered {answer.status} {answer.reason}"
            f" to {url}{hint}"
        )


def _client(host: Host) -> kfp.Client:
    import kfp

    _probe(host)
    with warnings.catch_warnings():
        # It warns, every time, that the host must be newer than 2.0.0-beta.2.
        warnings.filterwarnings(
            "ignore", message="This client only works with Kubeflow Pipeline", category=FutureWarning
        )
        return kfp.Client(
            host=host.url, namespace=host.namespace or "kubeflow", existing_token=os.environ.get(TOKEN_VARIABLE)
        )


def _wait(client: kfp.Client, run_id: str, seconds: float) -> Any:
    """Waits for a run's end, and through moments in which the host does not answer.

    `kfp.Client.wait_for_run_completion` does not know that CANCELED is one.
    """
    import kfp_server_api
    import urllib3

    deadline = time.monotonic() + seconds
    pause, failed = 0.2, 0
    while True:
        late = time.monotonic() + pause > deadline
        try:
            run = client.get_run(run_id)
        except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError) as error:
            failed += 1
            refused = isinstance(error, kfp_server_api.ApiException) and 400 <= (error.status or 0) < 500
            if refused or late or failed >= _FAILED_LOOKS:
                raise
        else:
            failed = 0
            if run.state in _ENDED:
                return run
            if late:
                raise TrainingError(f"run {run_id} is {run.state} after {seconds:g} s; it goes on")
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)


def _metrics(client: kfp.Client, run: Any) -> dict[str, float] | None:
    """The metrics that the evaluation step logged.

    The v2beta1 API gives neither artifacts nor output parameters; its server does give the log of a step.
    """
    import kfp_server_api

    api = client._run_api.api_client  # the generated client has no method for logs
    for task in (run.run_details.task_details if run.run_details else None) or []:
        if task.display_name != "evaluation":
            continue
        pods = [task.pod_name, *(child.pod_name for child in task.child_tasks or [])]
        for pod in filter(None, pods):
            try:
                log, *_ = api.call_api(
                    f"/apis/v1alpha1/runs/{run.run_id}/nodes/{pod}/log",
                    "GET",
                    response_type="str",
                    auth_settings=["Bearer"],
                )
            except kfp_server_api.ApiException:
                continue  # the driver's pod, or a host that keeps no logs
            for line in str(log).splitlines():
                if line.startswith("metrics {"):
                    metrics: dict[str, float] = json.loads(line.removeprefix("metrics "))
                    return metrics
    return None
