from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.acoustics.views import N_BANDS
from ser.config import parse
from ser.dataset import Dataset
from ser.features.extractors.speech_frames import COLUMNS
from ser.request import TrainRequest
from ser.steps.feature_extraction import extract_features, load_features
from ser.trainer import Trainer


@pytest.fixture(scope="module")
def folder(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    body = {"data_path": "d", "remote_url": "u", "model_save_path": "m", "model_type": "TemporalNetworkClassifier"}
    folder = tmp_path_factory.mktemp("temporal") / "features"
    extract_features(dataset.extract(), folder, parse(TrainRequest, {**body, "dataset_virtual_speakers": 0}))
    return folder


def test_it_learns_and_is_served(folder: Path, tmp_path: Path) -> None:
    bundle = Trainer("TemporalNetworkClassifier", {"epochs": 10, "lr": 0.005}).train(folder, tmp_path)
    assert bundle.manifest.history["loss"][-1] < bundle.manifest.history["loss"][0] - 0.3
    assert bundle.manifest.metrics["uar"] > 0.3  # chance is 1 / 7


def test_what_lies_behind_the_end_of_the_speech_changes_nothing(folder: Path, tmp_path: Path) -> None:
    bundle = Trainer("TemporalNetworkClassifier", {"epochs": 1}).train(folder, tmp_path)
    rows = load_features(folder).rows[:8].copy()
    frames = rows.reshape(8, -1, len(COLUMNS))
    # Two frames are pooled, and a view looks two ahead: what lies behind those is changed.
    ends = frames[:, :, -1].sum(axis=1).astype(int) + 4
    before = bundle.predict(rows)
    for number, end in enumerate(ends):
        frames[number, end:, N_BANDS:-1] = 1e3
    np.testing.assert_allclose(bundle.predict(rows), before, atol=1e-5)
