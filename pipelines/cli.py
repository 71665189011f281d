"""`ser pipeline`: run, compile, submit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines import compiling
from pipelines.local import run_locally
from pipelines.submitting import TOKEN_VARIABLE, Host
from pipelines.submitting import submit as submit_run
from ser.cli import request_options as options
from ser.cli.options import AsJson, print_json, print_model

commands = typer.Typer(help="The Kubeflow pipeline: run it here, compile it, submit it.", no_args_is_help=True)


@commands.command()
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
    dataset_force: options.Force = None,
    pipeline_root: Annotated[Path, typer.Option(help="Folder for the runs' artifacts.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Run the training pipeline on this machine, each step in a process of its own."""
    flags = {name: value for name, value in locals().items() if name not in ("request", "pipeline_root", "as_json")}
    result = run_locally(options.read_request(request, **flags), pipeline_root)
    if as_json:
        print_json(result.to_json())
    else:
        print_model(result.model, result.metrics, result.seconds)


@commands.command()
def compile(  # noqa: A001 - the command's name
    path: Annotated[Path, typer.Argument(help="YAML file to write.")] = compiling.TRAINING,
    check: Annotated[bool, typer.Option("--check", help="Only compare with the file that is there.")] = False,
) -> None:
    """Compile the training pipeline to YAML for a Kubeflow host."""
    if check:
        compiling.compare(path)
    else:
        compiling.compile_training(path)
        typer.echo(str(path))


@commands.command(epilog=f"The bearer token is read from the environment variable {TOKEN_VARIABLE}.")
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
    dataset_force: options.Force = None,
    experiment: Annotated[str, typer.Option(help="Experiment that the run belongs to.")] = "ser",
    run_name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
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
        "namespace",
        "pipeline_root",
        "wait",
        "timeout",
        "as_json",
    )
    flags = {name: value for name, value in locals().items() if name not in (*own, "own")}
    parsed = options.read_request(request, **flags)
    # A forced run must not be answered from the host's cache.
    target = Host(host, namespace, experiment, run_name, pipeline_root, False if parsed.dataset_force else None)
    result = submit_run(parsed, target, wait_seconds=timeout if wait else None)
    if as_json:
        print_json(asdict(result))
        return
    typer.echo(f"run     {result.run_id}\npage    {result.url}")
    for name, value in (result.metrics or {}).items():
        typer.echo(f"{name:<17}{value:.3f}")
    if wait and result.metrics is None:
        typer.echo("metrics on the page: this host does not give the steps' logs")
