"""A whole protocol: all folds of all seeds, in processes, and the report over them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ser.evaluation import ScoredSamples
from ser.evaluation.cross_validated import CrossValidated
from ser.evaluation.metrics import summary
from ser.progress import Progress, Reporter, silent
from ser.request import CrossValidationConfig
from ser.steps.cross_validation import is_trained, load_scores, plan_folds, protocol_identity, summarise
from ser.steps.feature_extraction import load_features
from ser.steps.fold_worker import FoldJob, train_folds
from ser.storage.strict_json import fingerprint

FOLDS = "folds"
REPORT = "report"


def cross_validate(
    features: Path,
    folder: Path,
    config: CrossValidationConfig,
    *,
    seeds: Sequence[int] = (),
    workers: int = 1,
    force: bool = False,
    report: Reporter = silent,
) -> CrossValidated:
    """Trains every fold with every seed, and writes the report; what is there already is not done again.

    Args:
        features: A feature folder.
        folder: Folder to keep everything in: the folds in `folds`, the report in `report`.
        config: Protocol, model type, its config; and the seed, if no seeds are named.
        seeds: The seeds, each once.
        workers: How many folds are trained at once, each in a process on one core.
        force: Train again although it is there.
        report: Told of each fold, a stage a seed, with the UAR over the folds that are done, and the seconds so far.

    Raises:
        CorpusError: If the protocol cannot be had of this corpus.
        TrainingError: If a fold fails.
        DamagedError: If the feature folder is not whole.
    """
    started = time.monotonic()
    configs = [config.model_copy(update={"random_state": seed}) for seed in seeds or (config.random_state,)]
    jobs = [job for one in configs for job in _jobs(features, folder, one, force=force)]
    identities = {one.random_state: protocol_identity(features, one) for one in configs}
    total = len(jobs) // len(configs)
    done: dict[int, list[ScoredSamples]] = defaultdict(list)

    def tell(job: FoldJob) -> None:
        seed = job.config.random_state
        done[seed].append(load_scores(job.scores))
        uar = summary("", ScoredSamples.concatenate(done[seed])).uar
        figures = {"uar": uar, "seconds": time.monotonic() - started}
        report(Progress(f"seed {seed}", len(done[seed]), total, "folds", figures))

    missing = []
    for job in jobs:
        if job.force or not is_trained(job.scores, identities[job.config.random_state], job.fold):
            missing.append(job)
        else:
            tell(job)
    for job in train_folds(missing, workers):
        tell(job)
    return summarise([job.scores for job in jobs], folder / REPORT, force=force)


def evaluation_id(features: Path, config: CrossValidationConfig) -> str:
    """A name for what a protocol leaves: protocol, model type, and a digest of all that it follows from but seeds."""
    identity = {**protocol_identity(features, config), "random_state": None}
    return f"{config.protocol}-{config.model_type}-{fingerprint(identity)[:12]}"


def _jobs(features: Path, folder: Path, config: CrossValidationConfig, *, force: bool) -> list[FoldJob]:
    identity = fingerprint(protocol_identity(features, config))[:16]
    job = FoldJob(features, folder, config, "", force)
    return [
        replace(job, scores=folder / FOLDS / f"{identity}-{number:03d}", fold=fold)
        for number, fold in enumerate(plan_folds(load_features(features).samples, config), 1)
    ]
