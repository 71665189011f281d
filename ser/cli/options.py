"""Options that several commands share."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ser.errors import ConfigError, FieldViolation

DEFAULT_MODEL_SAVE_PATH = "models"
ModelSavePath = Annotated[
    str, typer.Option(help="Folder that models are saved into, or its address in an object store.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: object) -> None:
    """Prints a value as JSON to standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


_METRICS = ("uar", "accuracy", "accuracy_95_low", "accuracy_95_high", "macro_f1", "chance")
"""The order in which metrics are shown."""


def print_table(table: Table) -> None:
    """Prints a table to standard output; where that is no terminal, as wide as its content."""
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_metrics(title: str, metrics: Mapping[str, float]) -> None:
    """Prints figures from 0 to 1: the headline ones first, others by name."""
    table = Table(title, "", box=None)
    rank = {name: number for number, name in enumerate(_METRICS)}
    for name in sorted(metrics, key=lambda name: (rank.get(name, len(rank)), name)):
        table.add_row(name.replace("_", " "), f"{metrics[name]:.3f}")
    print_table(table)


def print_model(
    model_save_path: str, model_id: str, report: Path, metrics: Mapping[str, float], seconds: float
) -> None:
    """Prints a trained model's figures, where it and its report lie, and what to do next."""
    print_metrics("held-out recordings", metrics)
    # Not by rich: it would wrap paths and commands that are there to be copied.
    typer.echo(f"model   {model_save_path.rstrip('/')}/{model_id}")
    typer.echo(f"report  {report}")
    typer.echo(f"took    {seconds:.0f} s")
    store = "" if model_save_path == DEFAULT_MODEL_SAVE_PATH else f"--model-save-path {model_save_path} "
    typer.echo(f"next    {_program()} predict {store}--model-id {model_id} YOUR.wav")


def _program() -> str:
    """How this command line was called, so that a next command can be copied: `ser`, or a path to it."""
    called = Path(sys.argv[0])
    return "ser" if called.name != "ser" or shutil.which("ser") == str(called.absolute()) else str(called)


def json_object(text: str, field: str) -> dict[str, Any]:
    """Reads a flag's JSON object.

    Raises:
        ConfigError: If it is something else; the message names `field`.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError([FieldViolation(field, f"expected a JSON object, got {text!r}: {error}")]) from None
    if not isinstance(value, dict):
        raise ConfigError([FieldViolation(field, f"expected a JSON object, got {text!r}")])
    return value
