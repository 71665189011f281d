"""Evaluation: a model bundle in, metrics and a report with pictures out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.bundles.bundle import Bundle
from ser.bundles.model_store import save_bundle, write_receipt
from ser.evaluation import Evaluation, ReportFacts, write_report
from ser.evaluation.metrics import evaluate as measure
from ser.evaluation.report import METRICS_JSON
from ser.evaluation.split import VALIDATION_SHARE
from ser.features.feature_set import FeatureSet
from ser.formats import REPORT_FORMAT
from ser.progress import Progress, Reporter, silent
from ser.request import PublishConfig
from ser.steps.feature_extraction import load_features
from ser.steps.training import score
from ser.storage.files import make_folder, read_json
from ser.storage.stamps import check_folder
from ser.storage.strict_json import fingerprint


def evaluate(
    bundle: Path,
    report_folder: Path,
    features: Path | None = None,
    *,
    force: bool = False,
    report: Reporter = silent,
) -> Evaluation:
    """Measures a model on the recordings that were held out of its training, and writes the report.

    The model is run as it is served: `model.tflite`, a recording's pieces averaged.

    Args:
        bundle: The model bundle.
        report_folder: Folder to make: report.html, PNGs, metrics.json. Left alone when it is this model's.
        features: Take the held-out recordings from this feature folder; by default from the bundle.
        force: Write the report again although it is there.
        report: Told of the progress.

    Returns:
        The figures of the report.

    Raises:
        DamagedError: If the bundle or the feature folder is not whole.
    """
    model = Bundle(bundle)
    held_out = _held_out(model, features)
    report(Progress("evaluate", 0, len(held_out.samples), "clips"))
    figures = measure(score(held_out, model.predict_set(held_out), model.manifest.classes))

    def write(folder: Path) -> None:
        write_report(folder, figures, _facts(model))

    made_from = {
        "format": REPORT_FORMAT,
        "bundle": fingerprint(model.manifest.model_dump(mode="json")),
        "figures": figures.to_dict(),
    }
    make_folder(report_folder, made_from, write, force=force)
    report(Progress("evaluate", len(held_out.samples), len(held_out.samples), "clips"))
    return figures


def publish(bundle: Path, report_folder: Path, config: PublishConfig) -> Path | None:
    """Copies a bundle with its report into a folder of models, under the model's id, if it is good enough.

    A model of the same id is the same model; it is replaced only if it is not whole.

    Args:
        bundle: The model bundle.
        report_folder: Its report, as `evaluate` made it.
        config: Folder of models, and the least UAR.

    Returns:
        The published bundle's folder, of an address its local copy's; None if the report's UAR is below the least,
        and nothing was written.
    """
    check_folder(report_folder)
    uar = read_json(report_folder / METRICS_JSON)["uar"]
    saved = save_bundle(bundle, report_folder, config.model_save_path) if uar >= config.minimum_uar else None
    if config.receipt:
        note = {"model_id": saved.name if saved else "", "uar": uar, "minimum_uar": config.minimum_uar}
        write_receipt(config.model_save_path, config.receipt, note)
    return saved


def _held_out(model: Bundle, features: Path | None) -> FeatureSet:
    if features is None:
        return model.validation
    return load_features(features).select(model.manifest.validation_samples)


def _facts(model: Bundle) -> ReportFacts:
    manifest = model.manifest
    held_out = len(manifest.validation_samples)
    return ReportFacts(
        model_id=manifest.model_id,
        model_type=manifest.model_type,
        corpus=f"{manifest.source} ({held_out + manifest.training_samples} recordings, named as in {manifest.corpus})",
        protocol=(
            f"{VALIDATION_SHARE:.0%} of the files of each emotion, chosen by seed {manifest.random_state}, were held "
            f"out before anything was fitted: {held_out} files, against {manifest.training_samples} learnt from. All "
            "pieces of a file are on one side; speakers are on both. A file's probabilities are the mean of its "
            "pieces'."
        ),
        settings=printable({"model_config": manifest.hyperparameters, "random_state": manifest.random_state})
        | printable(manifest.features)
        | {f"version of {name}": version for name, version in manifest.versions.items()},
        history=manifest.history,
    )


def printable(settings: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as dotted keys and printable values, for a report."""
    return dict(_flat(settings))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{path}.")
        else:
            rows.append((path, value if isinstance(value, str) else json.dumps(value)))
    return rows
