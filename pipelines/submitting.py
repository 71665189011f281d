"""Submit the training pipeline to a Kubeflow host, wait for its end, and read the metrics."""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.compiling import compile_training
from pipelines.local import parameters
from ser.errors import TrainingError
from ser.request import TrainRequest

if TYPE_CHECKING:
    import kfp

TOKEN_VARIABLE = "KFP_TOKEN"  # noqa: S105 - the name of a variable, not a secret
"""Environment variable with the bearer token for the host."""
_ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})


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


def submit(request: TrainRequest, host: Host, *, wait_seconds: float | None = None) -> SubmittedRun:
    """Submits the training pipeline.

    Args:
        request: What to train. Its paths are paths inside the steps' containers.
        host: Where and how.
        wait_seconds: Wait for the run's end at most this long; None returns at once.

    Raises:
        TrainingError: If the host refuses or cannot be reached, the run does not succeed, or time runs out.
    """
    import kfp_server_api
    import urllib3

    try:
        client = _client(host)
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "ser-training.yaml"
            compile_training(package)
            run = client.create_run_from_pipeline_package(
                str(package),
                arguments=parameters(request),
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
    """Waits for a run's end.

    `kfp.Client.wait_for_run_completion` does not know that CANCELED is one.
    """
    deadline = time.monotonic() + seconds
    pause = 0.2
    while True:
        run = client.get_run(run_id)
        if run.state in _ENDED:
            return run
        if time.monotonic() + pause > deadline:
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
