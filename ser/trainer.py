"""`Trainer`: from features to a model; and `run`, a whole training from a request."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ser.bundles.bundle import Bundle
from ser.bundles.manifest import REPORT
from ser.bundles.model_store import bundle_folder, find_bundle, upload_bundle
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import NotFoundError
from ser.evaluation.split import validation_names
from ser.extras import require
from ser.progress import Reporter, silent
from ser.request import TrainingConfig, TrainRequest
from ser.speakers.enrolment import keep_speakers_of
from ser.steps.evaluation import evaluate
from ser.steps.training import model_id, train
from ser.storage.access import Access
from ser.storage.archive import Limits
from ser.storage.files import sweep
from ser.storage.stores import is_address


class Trainer:
    """Trains models of one type.

    Example:
        >>> features = Dataset("data", "embedded:").feature_extract()  # doctest: +SKIP
        >>> bundle = Trainer("KerasClassifier").train(features, "models")  # doctest: +SKIP
        >>> bundle.manifest.metrics["uar"]  # doctest: +SKIP
    """

    def __init__(
        self,
        model_type: str,
        model_config: Mapping[str, Any] | None = None,
        *,
        random_state: int = 42,
        report: Reporter = silent,
    ) -> None:
        """Says what to train.

        Args:
            model_type: Registered name of the model type.
            model_config: Its config; what is left out has its default.
            random_state: Seed of everything random.
            report: Told of each epoch.

        Raises:
            ConfigError: If a name or value is not allowed.
        """
        self.config = parse(
            TrainingConfig,
            {"random_state": random_state, "model_type": model_type, "model_config": model_config or {}},
        )
        self._report = report

    def train(self, features: Path, model_save_path: str | os.PathLike[str], *, force: bool = False) -> Bundle:
        """Trains on a feature folder and evaluates; does nothing where the model and its report are there.

        Args:
            features: A feature folder, as `Dataset.feature_extract` returns.
            model_save_path: Folder that the model's folder is saved into, or the address of one in an object store.
            force: Train and evaluate again.

        Returns:
            The model, whole, with its report; of an address, the local copy.

        Raises:
            MissingExtraError: If the extra `training` is not installed.
            CorpusError: If the corpus cannot be split.
            TrainingError: If the training fails.
        """
        require("training", "training")
        name = model_id(features, self.config)
        folder = bundle_folder(model_save_path, name)
        for bundle in folder.parent.glob("[!.]*"):
            sweep(bundle)  # where the report of a model that nobody evaluates again was left unfinished
        if is_address(model_save_path) and not force:
            with contextlib.suppress(NotFoundError):
                find_bundle(model_save_path, name)  # has it been trained elsewhere?
        train(features, folder, self.config, force=force, report=self._report)
        evaluate(folder, folder / REPORT, force=force, report=self._report)
        upload_bundle(model_save_path, name)
        trained = Bundle(folder)
        keep_speakers_of(model_save_path, name, trained.manifest.training)
        return trained


@dataclass(frozen=True)
class TrainResult:
    """The answer to a train request."""

    model_id: str
    test_samples: tuple[str, ...]
    """Names of the validation samples."""
    metrics: dict[str, float]
    classes: tuple[str, ...]
    seconds: float
    """Wall-clock time of the whole."""

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def run(
    request: TrainRequest,
    *,
    report: Reporter = silent,
    limits: Limits | None = None,
    access: Access | None = None,
) -> TrainResult:
    """Runs all four steps in this process.

    Args:
        request: What to train.
        report: Told of the progress.
        limits: Sizes of the corpus allowed.
        access: Addresses allowed; by default all.

    Raises:
        MissingExtraError: If the extra `training` is not installed.
        SerError: As the steps do.
    """
    require("training", "training")
    started = time.monotonic()
    force = request.dataset_force
    dataset = Dataset(request.data_path, request.remote_url, limits=limits, access=access, report=report)
    held_out = partial(validation_names, random_state=request.random_state)
    features = dataset.features_of(request, force=force, check=held_out)
    trainer = Trainer(
        request.model_type,
        request.hyperparameters.model_dump(),
        random_state=request.random_state,
        report=report,
    )
    manifest = trainer.train(features, request.model_save_path, force=force).manifest
    return TrainResult(
        manifest.model_id,
        manifest.validation_samples,
        manifest.metrics,
        manifest.classes,
        round(time.monotonic() - started, 3),
    )
