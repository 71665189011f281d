"""Cross-validation: a feature folder in; a model a fold; out one report over all recordings, each judged unheard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, DamagedError, FieldViolation
from ser.evaluation import GroupRow, ReportFacts, ScoredSamples, write_report
from ser.evaluation.cross_validated import CrossValidated, evaluate_folds, write_predictions
from ser.evaluation.fold_file import read_fold_file
from ser.evaluation.metrics import summary
from ser.evaluation.split import Fold, Protocol, Recording, folds, speakers_unheard
from ser.features.training_set import TrainingSet
from ser.formats import REPORT_FORMAT
from ser.progress import Reporter, silent
from ser.request import CrossValidationConfig
from ser.steps.enrolling import enrolled, enrolment_told
from ser.steps.evaluation import printable
from ser.steps.feature_extraction import SETTINGS, load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.steps.training import model_identity, score
from ser.storage.files import make_folder, read_json, stamp_of, write_json
from ser.storage.stamps import check_folder
from ser.storage.strict_json import fingerprint

SCORES = "scores.npz"
FOLD = "fold.json"
PREDICTIONS = "predictions.csv"


def plan_folds(recordings: Sequence[Recording], config: CrossValidationConfig) -> tuple[str, ...]:
    """The names of the folds, sorted; no features are needed for it.

    Args:
        recordings: Of the whole corpus: the clips of its manifest, or the samples of its features.
        config: Protocol and seed.

    Raises:
        CorpusError: If the protocol cannot be had of this corpus.
        NotFoundError: If there is no such file of folds; `ser.evaluation.fold_file.read_fold_file` has what else may be
            wrong with one.
    """
    return tuple(fold.name for fold in _folds(recordings, config))


def trainings_told(config: CrossValidationConfig, names: Sequence[str], seeds: int = 1) -> str:
    """How much a protocol is, in words, to be said before anything is computed.

    Args:
        config: The protocol.
        names: Of the folds.
        seeds: How many there are.
    """
    folds = "1 fold" if len(names) == 1 else f"{len(names)} folds"
    by_seed = f" with each of {seeds} seeds" if seeds > 1 else ""
    total = len(names) * seeds
    return f"{config.protocol}: {total} {'training' if total == 1 else 'trainings'}, of {folds}{by_seed}"


def protocol_identity(features: Path, config: CrossValidationConfig) -> dict[str, Any]:
    """All that the folds follow from, as JSON.

    Raises:
        DamagedError: If `features` is not a feature folder.
        NotFoundError: If there is no such file of folds.
    """
    by_file = config.fold_file and not config.group
    return {
        **model_identity(features, config),
        "protocol": config.protocol,
        "folds": config.folds if config.protocol is Protocol.KFOLD and not by_file else None,
        "group": config.group,
        "fold_file": read_fold_file(config.fold_file).digest if config.fold_file else "",
        "enrollment_clips": config.enrollment_clips,
        "enrollment_of": config.enrollment_of,
    }


def is_trained(scores: Path, identity: Mapping[str, Any], fold: str) -> bool:
    """Whether `train_fold` has nothing to do.

    Args:
        scores: The folder that it makes.
        identity: Of `protocol_identity`.
        fold: Name of the fold.
    """
    return stamp_of(scores) == fingerprint({**identity, "fold": fold})


def train_fold(
    features: Path,
    scores: Path,
    config: CrossValidationConfig,
    fold: str,
    *,
    force: bool = False,
    report: Reporter = silent,
) -> GroupRow:
    """Trains a model without a fold's recordings, and keeps what it makes of them; does nothing when that is there.

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
    plan = plan_folds(load_features(features).samples, config)
    if fold not in plan:
        raise ConfigError([FieldViolation("fold", f"expected one of {', '.join(plan)}, got {fold!r}")])
    made_from = {**protocol_identity(features, config), "fold": fold}
    make_folder(scores, made_from, partial(_write, features, config, fold, plan, report), force=force)
    return summary(fold, load_scores(scores))


def load_scores(scores: Path) -> ScoredSamples:
    """What `train_fold` kept.

    Raises:
        DamagedError: If it is missing or something else.
    """
    check_folder(scores)
    return ScoredSamples.load(scores / SCORES)


def summarise(scores: Sequence[Path], report_folder: Path, *, force: bool = False) -> CrossValidated:
    """Pools the folds of one cross-validation, of one seed or several, and writes its report.

    Args:
        scores: What `train_fold` made, every fold of every seed once.
        report_folder: Folder to make: report.html, PNGs, metrics.json, predictions.csv.
        force: Write the report again although it is there.

    Returns:
        The figures.

    Raises:
        DamagedError: If a fold is missing, comes twice or is of another cross-validation.
    """
    stamps = {folder: check_folder(folder) for folder in scores}
    found = sorted(
        ((read_json(folder / FOLD), folder) for folder in scores),
        key=lambda one: (one[0]["random_state"], one[0]["fold"]),
    )
    own = {"fold": "", "random_state": 0, "speakers_unheard": True}
    if not found or any({**one, **own} != {**found[0][0], **own} for one, _ in found):
        raise DamagedError("expected the folds of one cross-validation, got those of several, or none")
    first = found[0][0]
    by_seed: dict[int, dict[str, Path]] = defaultdict(dict)
    for one, folder in found:
        by_seed[one["random_state"]][one["fold"]] = folder
    for seed in by_seed:
        got = [one["fold"] for one, _ in found if one["random_state"] == seed]
        if got != first["all_folds"]:
            raise DamagedError(
                f"seed {seed}: expected each of the folds {', '.join(first['all_folds'])} once, got {', '.join(got)}"
            )
    parts = {seed: {name: load_scores(folder) for name, folder in of.items()} for seed, of in by_seed.items()}
    unheard = all(one["speakers_unheard"] for one, _ in found)
    result = evaluate_folds(parts, resampled="speakers" if unheard else "recordings")
    protocol, names = Protocol(first["protocol"]), first["all_folds"]
    facts = ReportFacts(
        model_id=f"{protocol}: {first['model_type']}",
        model_type=first["model_type"],
        corpus=first["source"],
        protocol=_sentences(
            protocol,
            len(names),
            list(by_seed),
            first["group"],
            first["fold_file"],
            first["enrolled"],
            unheard=unheard,
        ),
        settings=printable({**first["settings"], "random_state": list(by_seed)}),
        history={},
        cross_validated=result,
    )

    def write(folder: Path) -> None:
        write_report(folder, result.pooled, facts)
        write_predictions(folder / PREDICTIONS, parts)

    made_from = {"format": REPORT_FORMAT, "folds": [stamps[folder].fingerprint for _, folder in found]}
    make_folder(report_folder, made_from, write, force=force)
    return result


def _folds(recordings: Sequence[Recording], config: CrossValidationConfig) -> tuple[Fold, ...]:
    return folds(
        recordings,
        config.protocol,
        count=config.folds,
        random_state=config.random_state,
        group=config.group,
        fold_file=read_fold_file(config.fold_file) if config.fold_file else None,
    )


def _fold(features: Path, config: CrossValidationConfig, name: str) -> Fold:
    return next(fold for fold in _folds(load_features(features).samples, config) if fold.name == name)


def _training_part(features: Path, config: CrossValidationConfig, fold: str) -> TrainingSet:
    """What is learnt from; nothing else that was read for it is left when this returns."""
    return TrainingSet.of(load_features(features), _fold(features, config, fold).training, load_frontend(features))


def _write(
    features: Path,
    config: CrossValidationConfig,
    fold: str,
    all_folds: tuple[str, ...],
    report: Reporter,
    folder: Path,
) -> None:
    training = _training_part(features, config, fold)
    fitted = fit_on(training, config, report)
    # The test part is read only now that all is fitted.
    everything = load_features(features)
    split = _fold(features, config, fold)
    test = everything.select(split.test)
    told = enrolled(
        fitted.adaptation,
        test,
        training.frontend,
        config.enrollment_clips,
        of=config.enrollment_of,
        seed=config.random_state,
    )
    score(test, fitted.predict(test.rows, told), everything.classes).save(folder / SCORES)
    settings = read_json(features / SETTINGS)
    write_json(
        folder / FOLD,
        {
            "fold": fold,
            "all_folds": list(all_folds),
            "protocol": config.protocol,
            "group": config.group,
            "fold_file": read_fold_file(config.fold_file).name if config.fold_file else "",
            "speakers_unheard": speakers_unheard(everything.samples, split),
            "enrolled": enrolment_told(config.enrollment_clips, config.enrollment_of) if fitted.adaptation else "",
            "model_type": config.model_type,
            "random_state": config.random_state,
            "source": settings["source"],
            "settings": {
                "model_config": config.hyperparameters.model_dump(),
                "enrollment_clips": config.enrollment_clips,
                "enrollment_of": config.enrollment_of,
                **settings["config"],
            },
        },
    )


def _sentences(
    protocol: Protocol, count: int, seeds: Sequence[int], group: str, fold_file: str, enrolled: str, *, unheard: bool
) -> str:
    by_seed = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    heard = "No speaker is on both sides" if unheard else "Speakers may be on both sides"
    dealt = (
        f"{count} folds, dealt by {by_seed} so that all recordings of one {group} are in the same fold"
        + (f" ({group} as {fold_file} has it)" if fold_file else "")
        if group
        else f"{count} folds as {fold_file} has them"
        if fold_file
        else f"{count} folds of the files, stratified by emotion, dealt by {by_seed}"
    )
    split = {
        Protocol.HOLDOUT: (
            f"A tenth of the files of each emotion, chosen by {by_seed}, is judged by a model of the others. Speakers "
            "are on both sides."
        ),
        Protocol.KFOLD: f"{dealt}: {count} models, each judged on the files that it has not heard. {heard}.",
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
    pieces = "All pieces of a file are on one side; a file's probabilities are the mean of its pieces'."
    return " ".join(filter(None, (split, enrolled, pieces)))
