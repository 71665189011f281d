"""`ser evaluate`: the figures and the report of a model, or of a kind of model by a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ser.bundles.manifest import REPORT
from ser.bundles.model_store import find_bundle, newest_model
from ser.cli import request_options as options
from ser.cli.console import progress_display
from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, print_json, print_table
from ser.corpora.folder import Clip
from ser.dataset import Dataset
from ser.errors import ConfigError, FieldViolation
from ser.evaluation import Evaluation
from ser.evaluation.cross_validated import CrossValidated, Spread
from ser.extras import require
from ser.request import CrossValidationRequest
from ser.steps import protocol as protocols
from ser.steps.cross_validation import PREDICTIONS, plan_folds, trainings_told
from ser.steps.evaluation import evaluate

EVALUATIONS = Path("evaluations")
"""Where a protocol's results are kept by default."""


def command(
    model_id: Annotated[str | None, typer.Argument(help="Which model; by default the newest.")] = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    report: Annotated[
        Path | None, typer.Option(help="Folder for the report; by default the model's, or one in evaluations/.")
    ] = None,
    protocol: options.ProtocolName = None,
    seeds: Annotated[str | None, typer.Option(help="With --protocol: seeds, as 0,1,2,3,4 [default: 42]")] = None,
    folds: options.Folds = None,
    group: options.Group = None,
    fold_file: options.FoldFile = None,
    enrollment_clips: options.EnrollmentClips = None,
    enrollment_of: options.EnrollmentOf = None,
    workers: Annotated[int, typer.Option(min=1, help="With --protocol: folds trained at once, one core each.")] = 1,
    request: options.RequestFile = None,
    remote_url: options.RemoteUrl = None,
    data_path: options.DataPath = None,
    model_type: options.ModelType = None,
    model_config: options.ModelConfig = None,
    dataset_load_split_at: options.SplitAt = None,
    dataset_load_normalize: options.Normalize = None,
    dataset_feature_extract_methods: options.Methods = None,
    dataset_virtual_speakers: options.VirtualSpeakers = None,
    dataset_force: options.Force = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on the recordings held out of its training, or train and judge by a protocol.

    With --protocol, models are trained as `ser train` trains them, each without the recordings that it is judged on:
    holdout (a tenth of the files), kfold (stratified by emotion, by groups, or as a file has it), loso (leave one
    speaker out), loto (one text), lolo (one speaker and one text at once), loco (one corpus). What the corpus does not
    allow is refused before its features are extracted. What an interrupted run has finished is not done again.
    """
    own = ("model_id", "model_save_path", "report", "seeds", "workers", "as_json")
    given = {name: value for name, value in locals().items() if name not in (*own, "own")}
    if protocol is None and request is None:
        if unused := [name for name, value in given.items() if value is not None] + (["seeds"] if seeds else []):
            raise ConfigError([FieldViolation(unused[0], "expected together with --protocol, which trains models")])
        _evaluate_model(model_id, model_save_path, report, as_json)
        return
    if model_id is not None:
        raise ConfigError([FieldViolation("model_id", "expected none with --protocol, which trains its own models")])
    parsed = options.read_request(given.pop("request"), CrossValidationRequest, **given)
    _evaluate_protocol(parsed, _seeds(seeds), report, workers, as_json)


def _seeds(text: str | None) -> list[int]:
    try:
        found = [int(seed) for seed in text.split(",")] if text else []
        if len(set(found)) == len(found) and all(0 <= seed < 2**32 for seed in found):
            return found
    except ValueError:
        pass
    raise ConfigError([FieldViolation("seeds", f"expected different numbers from 0, as 0,1,2, got {text!r}")])


def _evaluate_model(model_id: str | None, model_save_path: str, report: Path | None, as_json: bool) -> None:
    require("evaluating", "evaluation")
    folder = find_bundle(model_save_path, model_id or newest_model(model_save_path))
    target = report or folder / REPORT
    with progress_display() as reporter:
        figures = evaluate(folder, target, report=reporter)
    if as_json:
        print_json({"model_id": folder.name, "report": str(target / "report.html"), **figures.to_dict()})
    else:
        _print(folder.name, figures)
        typer.echo(f"report  {target / 'report.html'}")


def _evaluate_protocol(
    request: CrossValidationRequest, seeds: list[int], report: Path | None, workers: int, as_json: bool
) -> None:
    require("training by a protocol", "training")
    force = request.dataset_force
    with progress_display() as reporter:
        dataset = Dataset(request.data_path, request.remote_url, report=reporter)

        def tell(clips: Sequence[Clip]) -> None:
            names = plan_folds(clips, request)
            typer.echo(trainings_told(request, names, len(seeds) or 1), err=True)

        features = dataset.features_of(request, force=force, check=tell)
        folder = report or EVALUATIONS / protocols.evaluation_id(features, request)
        result = protocols.cross_validate(
            features, folder, request, seeds=seeds, workers=workers, force=force, report=reporter
        )
    target = folder / protocols.REPORT
    if as_json:
        print_json({"report": str(target / "report.html"), **result.to_dict()})
        return
    _print(f"{request.protocol}, {request.model_type}, seed {result.seeds[0].seed}", result.pooled)
    _print_confusion(result.pooled)
    _print_seeds(result)
    typer.echo(f"report       {target / 'report.html'}\npredictions  {target / PREDICTIONS}")
    options.print_purpose(request.model_type)


def _print(title: str, figures: Evaluation) -> None:
    low, high = figures.accuracy_interval
    uar_low, uar_high = figures.uar_interval
    typer.echo(
        f"{title}: UAR {figures.uar:.3f} ({uar_low:.3f} to {uar_high:.3f}, bootstrap over "
        f"{figures.uar_interval_over}), accuracy {figures.accuracy:.3f} ({low:.3f} to {high:.3f}), macro F1 "
        f"{figures.macro_f1:.3f}, ECE {figures.calibration.ece:.3f}"
    )
    table = Table("emotion", "recall", "precision", "F1", "recordings", box=None)
    for row in figures.per_class:
        table.add_row(row.label, f"{row.recall:.3f}", f"{row.precision:.3f}", f"{row.f1:.3f}", str(row.support))
    print_table(table)


def _print_confusion(figures: Evaluation) -> None:
    table = Table("truth \\ prediction", *figures.classes, box=None)
    for label, counts in zip(figures.classes, figures.confusion.tolist(), strict=True):
        table.add_row(label, *map(str, counts))
    print_table(table)


def _print_seeds(result: CrossValidated) -> None:
    folds = Table("fold", "UAR (of the emotions in it)", "accuracy", "recordings", box=None)
    for fold in result.seeds[0].folds:
        folds.add_row(fold.group, f"{fold.uar:.3f}", f"{fold.accuracy:.3f}", str(fold.samples))
    print_table(folds)
    table = Table("seed", "UAR", "mean of folds' UARs", "accuracy", "macro F1", "ECE", "Brier", box=None)
    for seed in result.seeds:
        figures = (f"{figure:.3f}" for figure in (seed.accuracy, seed.macro_f1, seed.ece, seed.brier))
        table.add_row(str(seed.seed), f"{seed.uar:.3f}", _plus_minus(seed.fold_uar), *figures)
    if len(result.seeds) > 1:
        spread = result.over_seeds
        names = ("uar", "fold_uar", "accuracy", "macro_f1", "ece", "brier")
        table.add_row("mean ± sd", *(_plus_minus(spread[name]) for name in names))
    print_table(table)


def _plus_minus(spread: Spread) -> str:
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
    return f"{spread.mean:.3f}{deviation}"
