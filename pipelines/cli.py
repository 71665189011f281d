"""`ser pipeline`: run, compile, submit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ser.cli import request_options as options
from ser.cli.options import AsJson, print_json, print_metrics, print_model
from ser.cli.plain_help import Command, application
from ser.extras import require
from ser.request import DEFAULT_MODEL_TYPE, MODEL_TYPE_VARIABLE, CrossValidationRequest, TrainRequest
from ser_pipelines import compiling
from ser_pipelines.cluster import read_cluster_settings
from ser_pipelines.local import Runner, cross_validate_locally, run_locally
from ser_pipelines.submitting import TOKEN_VARIABLE, Host
from ser_pipelines.submitting import schedule as schedule_run
from ser_pipelines.submitting import submit as submit_run

commands = application(help="The Kubeflow pipeline: run it here, compile it, submit it.")

PipelineRoot = Annotated[Path, typer.Option(help="Folder for the runs' artifacts.")]
RunnerOption = Annotated[Runner, typer.Option("--runner", help="Run each step as a process, or in its container.")]
ClusterFile = Annotated[
    Path | None, typer.Option("--cluster", help="YAML file: resources, volumes, secrets, GPU, retries (docs/scale.md).")
]
MinimumUar = Annotated[float, typer.Option(min=0, max=1, help="Least UAR of a model that is saved.")]


@commands.command(cls=Command)
def run(
    request: options.RequestFile = None,
    remote_url: options.RemoteUrl = None,
    data_path: options.DataPath = None,
    model_save_path: options.ModelSavePath = None,
    model_type: options.ModelType = None,
    model_config: options.ModelConfig = None,
    random_state: options.RandomState = None,
    dataset_load_split_at: options.SplitAt = None,
    dataset_load_normalize: options.Normalize = None,
    dataset_feature_extract_methods: options.Methods = None,
    dataset_virtual_speakers: options.VirtualSpeakers = None,
    dataset_force: options.Force = None,
    minimum_uar: MinimumUar = 0.0,
    pipeline_root: PipelineRoot = Path("runs"),
    runner: RunnerOption = Runner.SUBPROCESS,
    as_json: AsJson = False,
) -> None:
    """Run the training pipeline on this machine, each step in a process or a container of its own."""
    own = ("request", "pipeline_root", "minimum_uar", "runner", "as_json")
    flags = {name: value for name, value in locals().items() if name not in (*own, "own")}
    parsed = options.read_request(request, TrainRequest, **flags)
    _require_steps(runner)
    result = run_locally(parsed, pipeline_root, runner, minimum_uar=minimum_uar)
    if as_json:
        print_json(result.to_dict())
    elif result.model:
        print_model(parsed.model_save_path, result.model_id, result.report, result.metrics, result.seconds)
    else:
        typer.echo(f"saved nothing: UAR {result.metrics['uar']:.3f} is below minimum_uar = {minimum_uar:g}")
        typer.echo(f"report  {result.report}")
    if not as_json:
        options.print_purpose(parsed.model_type)


@commands.command(cls=Command)
def cross_validate(
    request: options.RequestFile = None,
    remote_url: options.RemoteUrl = None,
    data_path: options.DataPath = None,
    model_type: options.ModelType = None,
    model_config: options.ModelConfig = None,
    protocol: options.ProtocolName = None,
    folds: options.Folds = None,
    group: options.Group = None,
    fold_file: options.FoldFile = None,
    enrollment_clips: options.EnrollmentClips = None,
    enrollment_of: options.EnrollmentOf = None,
    random_state: options.RandomState = None,
    dataset_load_split_at: options.SplitAt = None,
    dataset_load_normalize: options.Normalize = None,
    dataset_feature_extract_methods: options.Methods = None,
    dataset_virtual_speakers: options.VirtualSpeakers = None,
    dataset_force: options.Force = None,
    pipeline_root: PipelineRoot = Path("runs"),
    runner: RunnerOption = Runner.SUBPROCESS,
    as_json: AsJson = False,
) -> None:
    """Run the cross-validation pipeline on this machine; what an earlier run finished is not done again."""
    own = ("request", "pipeline_root", "runner", "as_json")
    flags = {name: value for name, value in locals().items() if name not in (*own, "own")}
    parsed = options.read_request(request, CrossValidationRequest, **flags)
    _require_steps(runner)
    result = cross_validate_locally(parsed, pipeline_root, runner)
    if as_json:
        print_json(result.to_dict())
        return
    print_metrics(parsed.protocol, result.metrics)
    typer.echo(f"report  {result.report}\ntook    {result.seconds:.0f} s")
    options.print_purpose(parsed.model_type)


@commands.command(
    cls=Command,
    epilog=f"The pipelines' default model type is what {MODEL_TYPE_VARIABLE} says, else {DEFAULT_MODEL_TYPE}.",
)
def compile(  # noqa: A001 - the command's name
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to write the YAML files into; by default compiled.", show_default=False),
    ] = None,
    cluster: ClusterFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare with the files of a folder, by default those of the package.")
    ] = False,
) -> None:
    """Compile the pipelines to YAML for a Kubeflow host."""
    require("compiling pipelines", "pipelines")
    if check:
        compiling.compare(folder or compiling.COMPILED)
    else:
        for path in compiling.compile_pipelines(folder or Path("compiled"), read_cluster_settings(cluster)):
            typer.echo(str(path))


@commands.command(cls=Command, epilog=f"The bearer token is read from the environment variable {TOKEN_VARIABLE}.")
def submit(
    host: Annotated[str, typer.Option(help="Address of the Kubeflow Pipelines API.")],
    request: options.RequestFile = None,
    remote_url: options.RemoteUrl = None,
    data_path: options.DataPath = None,
    model_save_path: options.ModelSavePath = None,
    model_type: options.ModelType = None,
    model_config: options.ModelConfig = None,
    random_state: options.RandomState = None,
    dataset_load_split_at: options.SplitAt = None,
    dataset_load_normalize: options.Normalize = None,
    dataset_feature_extract_methods: options.Methods = None,
    dataset_virtual_speakers: options.VirtualSpeakers = None,
    dataset_force: options.Force = None,
    experiment: Annotated[str, typer.Option(help="Experiment that the run belongs to.")] = "ser",
    run_name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    minimum_uar: MinimumUar = 0.0,
    cluster: ClusterFile = None,
    cron: Annotated[
        str | None, typer.Option(help="Run again and again: seconds minutes hours day month weekday, as '0 0 3 * * *'.")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Your namespace, on a multi-user host.")] = None,
    pipeline_root: Annotated[str | None, typer.Option(help="Where the host keeps artifacts.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the run's end and print the metrics.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86_400.0,
    as_json: AsJson = False,
) -> None:
    """Submit the training pipeline to a Kubeflow host."""
    own = (
        "host",
        "request",
        "experiment",
        "run_name",
        "minimum_uar",
        "cluster",
        "cron",
        "namespace",
        "pipeline_root",
        "wait",
        "timeout",
        "as_json",
    )
    flags = {name: value for name, value in locals().items() if name not in (*own, "own")}
    parsed = options.read_request(request, TrainRequest, **flags)
    require("submitting a pipeline", "pipelines")
    # A forced run must not be answered from the host's cache.
    target = Host(host, namespace, experiment, run_name, pipeline_root, False if parsed.dataset_force else None)
    settings = read_cluster_settings(cluster)
    if cron is not None:
        schedule = schedule_run(parsed, target, cron, minimum_uar=minimum_uar, cluster=settings)
        if as_json:
            print_json(asdict(schedule))
        else:
            typer.echo(f"schedule  {schedule.schedule_id}\npage      {schedule.url}")
        return
    result = submit_run(
        parsed, target, minimum_uar=minimum_uar, cluster=settings, wait_seconds=timeout if wait else None
    )
    if as_json:
        print_json(asdict(result))
        return
    typer.echo(f"run     {result.run_id}\npage    {result.url}")
    for name, value in (result.metrics or {}).items():
        typer.echo(f"{name:<17}{value:.3f}")
    if wait and result.metrics is None:
        typer.echo("metrics on the page: this host does not give the steps' logs")
    options.print_purpose(parsed.model_type)


def _require_steps(runner: Runner) -> None:
    own = ("pipelines",) if runner is Runner.DOCKER else ("pipelines", "training")
    require("running a pipeline", *own)
