"""Cross-validation: a feature folder in; a model a fold; out one report over all files, each judged unheard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, DamagedError, FieldViolation
from ser.evaluation import Evaluation, GroupRow, ReportFacts, ScoredSamples, write_report
from ser.evaluation.metrics import evaluate as measure
from ser.evaluation.metrics import summary
from ser.files import STAMP, fingerprint, make_folder, read_json, write_json
from ser.progress import Reporter, silent
from ser.request import CrossValidationConfig
from ser.split import Fold, Protocol, folds
from ser.steps.evaluation import printable
from ser.steps.feature_extraction import SETTINGS, load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.steps.training import model_identity, score
from ser.training_set import TrainingSet

SCORES = "scores.npz"
FOLD = "fold.json"


def plan_folds(features: Path, config: CrossValidationConfig) -> tuple[str, ...]:
    """The names of the folds, sorted.

    Raises:
        CorpusError: If the protocol cannot be had of this corpus.
        DamagedError: If the feature folder is not whole.
    """
    return tuple(fold.name for fold in _folds(features, config))


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

    Nothing is chosen on the fold: what fits gets the training part alone, and the last epoch counts.

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
    plan = {one.name: one for one in _folds(features, config)}
    if fold not in plan:
        raise ConfigError([FieldViolation("fold", f"expected one of {', '.join(plan)}, got {fold!r}")])
    made_from = {**_identity(features, config), "fold": fold}
    make_folder(scores, made_from, partial(_write, features, config, plan[fold], tuple(plan), report), force=force)
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
    identity = fingerprint(_identity(features, config))
    scores = []
    for number, fold in enumerate(plan_folds(features, config), 1):
        scores.append(folder / f"{identity[:16]}-{number:03d}")
        train_fold(features, scores[-1], config, fold, force=force, report=report)
    return summarise(scores, folder / "report", force=force)


def _identity(features: Path, config: CrossValidationConfig) -> dict[str, Any]:
    """All that the folds follow from, as JSON."""
    count = config.folds if config.protocol is Protocol.KFOLD else None
    return {**model_identity(features, config), "protocol": config.protocol, "folds": count}


def _folds(features: Path, config: CrossValidationConfig) -> tuple[Fold, ...]:
    samples = load_features(features).samples
    return folds(samples, config.protocol, count=config.folds, random_state=config.random_state)


def _write(
    features: Path,
    config: CrossValidationConfig,
    fold: Fold,
    all_folds: tuple[str, ...],
    report: Reporter,
    folder: Path,
) -> None:
    training = TrainingSet.of(load_features(features), fold.training, load_frontend(features))
    fitted = fit_on(training, config, report)
    # The test part is read only now that all is fitted.
    everything = load_features(features)
    test = everything.select(fold.test)
    score(test, fitted.predict(test.rows), everything.classes).save(folder / SCORES)
    settings = read_json(features / SETTINGS)
    write_json(
        folder / FOLD,
        {
            "fold": fold.name,
            "all_folds": list(all_folds),
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
    split = {
        Protocol.HOLDOUT: (
            f"A tenth of the files of each emotion, chosen by seed {random_state}, is judged by a model of the others. "
            "Speakers are on both sides."
        ),
        Protocol.KFOLD: (
            f"{count} folds of the files, stratified by emotion, dealt by seed {random_state}: {count} models, each "
            "judged on the files that it has not heard. Speakers are on both sides."
        ),
        Protocol.LOSO: f"Leave one speaker out: {count} models, each judged on the speaker that it has never heard.",
        Protocol.LOTO: (
            f"Leave one text out: {count} models, each judged on the text that it has never heard. Speakers are on "
            "both sides."
        ),
        Protocol.LOLO: (
            f"Leave one speaker and one text out at once: {count} models, each judged on a speaker that it has never "
            "heard, saying a text that it has never heard."
        ),
        Protocol.LOCO: f"Leave one corpus out: {count} models, each judged on the corpus that it has never heard.",
    }[protocol]
    return f"{split} All pieces of a file are on one side; a file's probabilities are the mean of its pieces'."
