"""No model that is out there is ever fed other features than it learnt."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from ser.audio.recordings import decode
from ser.config import parse
from ser.features import EXTRACTORS
from tests.ser.features.extractors.golden import ABOUT, CONFIGS, FILE, features, signals

with np.load(FILE, allow_pickle=False) as stored:
    GOLDEN = {name: stored[name] for name in stored.files}

# Every fifteenth part of the features of EmoDB's 03a01Fa.wav.
REAL = {
    "MFCC": [
        -8.9212,
        -2.4397,
        28.068,
        -4.5025,
        5.4614,
        70.653,
        -1.7374,
        -0.52986,
        6.4481,
        -2.114,
        10.208,
        -8.7785,
        15.429,
        -1.3641,
        2.313,
    ],
    "Functionals": [
        -10.393,
        12.059,
        0.36368,
        3.1829,
        -46.682,
        -11.939,
        -0.049408,
        -20.23,
        3.0275,
        579.31,
        18.965,
        1.5343,
        1.7537,
        250.0,
        0.2,
    ],
    "SpeechFrames": [
        4.2633,
        -19.934,
        892.89,
        1.0,
        -24.858,
        -33.905,
        0.0,
        -49.914,
        -47.962,
        0.37404,
        -22.902,
        -47.076,
        6.7619,
        -22.986,
        -48.532,
    ],
}


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """The same but for rounding: each column against the range that it has."""
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    scale = np.abs(expected).max(axis=0) if expected.ndim > 1 else np.abs(expected)
    difference = np.abs(found - expected)
    assert (difference <= 1e-3 + 2e-3 * scale).all(), (
        f"{(difference > 1e-3 + 2e-3 * scale).sum()} of {found.size} differ"
    )


def test_every_extractor_has_its_golden_features() -> None:
    # An encoder's network is pinned by its digest; what weights of eight bits give differs a little by processor.
    assert set(EXTRACTORS.names()) - {"SpeechEncoder"} == set(CONFIGS) == set(OTHER)
    assert features().keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_features_are_what_they_have_always_been(name: str) -> None:
    assert_same(features()[name], GOLDEN[name])


OTHER = {
    "MFCC": CONFIGS["MFCC"][1],
    "SpeakerAndGenderAndTextType": {"speaker": False, "gender": False, "text": False},
    "Functionals": {},
    "SpeechFrames": {},
}
"""Of each extractor, a value of each setting that is not the default."""


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, config in OTHER.items() for field in config])
def test_each_setting_changes_the_features(name: str, field: str) -> None:
    kind = EXTRACTORS.get(name)
    assert set(OTHER[name]) == set(kind.Config.model_fields)
    assert OTHER[name][field] != kind.Config.model_fields[field].default
    samples = signals()["sweep"][np.newaxis]
    usual, other = (
        kind.create(parse(kind.Config, config), ABOUT).extract(samples, ABOUT[:1])[0]
        for config in ({}, {field: OTHER[name][field]})
    )
    assert usual.shape != other.shape or not np.allclose(usual, other, atol=1e-3)


def test_features_of_real_speech_are_what_they_have_always_been(emodb_zip: Path) -> None:
    with ZipFile(emodb_zip) as archive:
        samples = decode(archive.read("wav/03a01Fa.wav"), name="03a01Fa.wav").samples
    found = {}
    for name in ("MFCC", "Functionals", "SpeechFrames"):
        kind = EXTRACTORS.get(name)
        rows = kind.create(parse(kind.Config, {}), []).extract(samples[np.newaxis], [])[0]
        found[name] = [float(number) for number in rows.reshape(-1)[:: rows.size // 15][:15]]
    for name, expected in REAL.items():
        assert found[name] == pytest.approx(expected, rel=2e-3, abs=2e-3), (name, found[name])
