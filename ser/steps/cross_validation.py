"""Cross-validation: a feature folder in; a model a fold; out one report over all files, each judged unheard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ser.errors import ConfigError, DamagedError, FieldViolation
from ser.evaluation import Evaluation, GroupRow, ReportFacts, ScoredSamples, write_report
from ser.evaluation.metrics import evaluate as measure
from ser.evaluation.metrics import summary
from ser.files import STAMP, fingerprint, make_folder, read_json, write_json
from ser.progress import Reporter, silent
from ser.request import CrossValidationConfig
from ser.split import Protocol, folds
from ser.steps.evaluation import printable
from ser.steps.feature_extraction import SETTINGS, load_features
from ser.steps.training import fit_without, model_identity, score

SCORES = "scores.npz"
FOLD = "fold.json"


def plan_folds(features: Path, config: CrossValidationConfig) -> tuple[str, ...]:
    """The names of the folds, sorted.

    Raises:
        CorpusError: If the corpus has too few speakers, or too few files of an emotion.
        DamagedError: If the feature folder is not whole.
    """
    return tuple(_folds(features, config))


def train_fold(
    features: Path,
    scores: Path,
    config: CrossValidationConfig,
    fold: str,
    *,
    force: bool = False,
    report: Reporter = silent,
) -> GroupRow:
    """Trains a model without a fold's files, and keeps what it makes of them; does nothing when that is there.

    Nothing is chosen on the fold: the standardiser is fitted on the other files, the last epoch counts.

    Args:
        features: A feature folder.
        scores: The folder to make.
        config: Protocol, model type, its config, and the seed.
        fold: One of `plan_folds`.
        force: Train again although it is there.
        report: Told of each epoch.

    Returns:
        The fold's figures.

    Raises:
        ConfigError: If there is no such fold.
        TrainingError: If the training diverges.
        DamagedError: If the feature folder is not whole.
    """
    held_out = _folds(features, config).get(fold)
    if held_out is None:
        known = ", ".join(_folds(features, config))
        raise ConfigError([FieldViolation("fold", f"expected one of {known}, got {fold!r}")])
    made_from = {
        **model_identity(features, config), "protocol": config.protocol, "folds": _count(config), "fold": fold
    }  # fmt: skip
    make_folder(scores, made_from, partial(_write, features, config, fold, held_out, report), force=force)
    return summary(fold, ScoredSamples.load(scores / SCORES))


def summarise(scores: Sequence[Path], report_folder: Path, *, force: bool = False) -> Evaluation:
    """Pools the folds of one cross-validation and writes its report.

    Args:
        scores: What `train_fold` made, every fold once.
        report_folder: Folder to make: report.html, PNGs, metrics.json with the figures of each fold as `by_fold`.
        force: Write the report again although it is there.

    Returns:
        The figures over all files: each is judged by the model that has not heard it.

    Raises:
        DamagedError: If a fold is missing, comes twice or is of another cross-validation.
    """
    settings = sorted((read_json(folder / FOLD) for folder in scores), key=lambda one: str(one["fold"]))
    if not settings or any({**one, "fold": ""} != {**settings[0], "fold": ""} for one in settings):
        raise DamagedError("expected the folds of one cross-validation, got those of several, or none")
    got = [one["fold"] for one in settings]
    if got != settings[0]["all_folds"]:
        raise DamagedError(
            f"expected each of the folds {', '.join(settings[0]['all_folds'])} once, got {', '.join(got)}"
        )
    parts = {read_json(folder / FOLD)["fold"]: ScoredSamples.load(folder / SCORES) for folder in scores}
    pooled = measure(ScoredSamples.concatenate([parts[name] for name in got]))
    facts = ReportFacts(
        model_id=f"{settings[0]['protocol']}: {settings[0]['model_type']}",
        model_type=settings[0]["model_type"],
        corpus=settings[0]["source"],
        protocol=_sentence(Protocol(settings[0]["protocol"]), len(got), settings[0]["random_state"]),
        settings=printable(settings[0]["settings"]),
        history={},
        folds=tuple(summary(name, parts[name]) for name in got),
    )
    made_from = {"folds": [read_json(folder / STAMP)["fingerprint"] for folder in scores]}
    make_folder(report_folder, made_from, lambda folder: write_report(folder, pooled, facts), force=force)
    return pooled


def cross_validate(
    features: Path, folder: Path, config: CrossValidationConfig, *, force: bool = False, report: Reporter = silent
) -> Evaluation:
    """All folds, one after another, and the report; what is there already is not done again.

    Args:
        features: A feature folder.
        folder: Folder for the folds; the report is in its `report`.
        config: Protocol, model type, its config, and the seed.
        force: Do it again although it is there.
        report: Told of each epoch of each fold.
    """
    identity = fingerprint({**model_identity(features, config), "protocol": config.protocol, "folds": _count(config)})
    scores = []
    for number, fold in enumerate(plan_folds(features, config), 1):
        scores.append(folder / f"{identity[:16]}-{number:03d}")
        train_fold(features, scores[-1], config, fold, force=force, report=report)
    return summarise(scores, folder / "report", force=force)


def _count(config: CrossValidationConfig) -> int | None:
    return config.folds if config.protocol is Protocol.K_FOLD else None


def _folds(features: Path, config: CrossValidationConfig) -> dict[str, tuple[str, ...]]:
    samples = load_features(features).samples
    return folds(samples, config.protocol, count=config.folds, random_state=config.random_state)


def _write(
    features: Path,
    config: CrossValidationConfig,
    fold: str,
    held_out: tuple[str, ...],
    report: Reporter,
    folder: Path,
) -> None:
    everything = load_features(features)
    fitted = fit_without(everything, held_out, config, report)
    # Not by `predict`, whose input pipeline costs more than the arithmetic.
    probabilities = np.concatenate(
        [np.asarray(fitted.model(block, training=False)) for block in fitted.held_out_rows.blocks()]
    )
    score(fitted.held_out, probabilities, everything.classes).save(folder / SCORES)
    settings = read_json(features / SETTINGS)
    write_json(
        folder / FOLD,
        {
            "fold": fold,
            "all_folds": list(_folds(features, config)),
            "protocol": config.protocol,
            "model_type": config.model_type,
            "random_state": config.random_state,
            "source": settings["source"],
            "settings": {
                "model_config": config.hyperparameters.model_dump(),
                "random_state": config.random_state,
                **settings["config"],
            },
        },
    )


def _sentence(protocol: Protocol, count: int, random_state: int) -> str:
    if protocol is Protocol.LEAVE_ONE_SPEAKER_OUT:
        split = f"Leave one speaker out: {count} models, each judged on the speaker that it has never heard."
    else:
        split = (
            f"{count} folds of the files, stratified by emotion, dealt by seed {random_state}: {count} models, each "
            "judged on the files that it has not heard. Speakers are on both sides."
        )
    return f"{split} All pieces of a file are on one side; a file's probabilities are the mean of its pieces'."
