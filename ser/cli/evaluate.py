"""`ser evaluate`: the figures and the report of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ser.bundle import REPORT
from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, newest_model, print_json, print_table
from ser.console import progress_display
from ser.evaluation import Evaluation
from ser.model_store import find_bundle
from ser.steps.evaluation import evaluate


def command(
    model_id: Annotated[str | None, typer.Argument(help="Which model; by default the newest.")] = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    report: Annotated[Path | None, typer.Option(help="Folder for the report; by default the model's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on the recordings held out of its training, and write the report."""
    folder = find_bundle(model_save_path, model_id or newest_model(model_save_path))
    target = report or folder / REPORT
    with progress_display() as reporter:
        figures = evaluate(folder, target, report=reporter)
    if as_json:
        print_json({"model_id": folder.name, "report": str(target / "report.html"), **figures.to_json()})
    else:
        _print(folder.name, figures)
        typer.echo(f"report  {target / 'report.html'}")


def _print(model_id: str, figures: Evaluation) -> None:
    low, high = figures.accuracy_interval
    typer.echo(f"{model_id}: UAR {figures.uar:.3f}, accuracy {figures.accuracy:.3f} ({low:.3f} to {high:.3f})")
    table = Table("emotion", "recall", "precision", "F1", "recordings", box=None)
    for row in figures.per_class:
        table.add_row(row.label, f"{row.recall:.3f}", f"{row.precision:.3f}", f"{row.f1:.3f}", str(row.support))
    print_table(table)
