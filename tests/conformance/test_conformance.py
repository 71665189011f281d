"""Every extractor and every model type that is registered goes through the checks of `ser.testing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ser.features import EXTRACTORS
from ser.models import MODEL_TYPES
from ser.testing import EXTRACTOR_CHECKS, MODEL_TYPE_CHECKS, Trial

METHODS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "MFCC": ({}, {"num_cepstral": 5, "dc_elimination": False}),
    "SpeakerAndGenderAndTextType": ({}, {"speaker": False}),
    "Functionals": ({},),
    "SpeechEncoder": ({},),
    "SpeechFrames": ({},),
}
TYPES: Mapping[str, Mapping[str, Any]] = {
    "EncoderClassifier": {},
    "EnsembleClassifier": {"components": 4, "dimensions": 8},
    "FunctionalsClassifier": {},
    "KerasClassifier": {"epochs": 2},
    "KerasDropoutClassifier": {"epochs": 2},
    "TemporalNetworkClassifier": {"epochs": 1},
}


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


def test_none_is_left_out() -> None:
    assert set(METHODS) == set(EXTRACTORS.names())
    assert set(TYPES) == set(MODEL_TYPES.names())


@pytest.mark.parametrize(("name", "config"), [(name, one) for name in METHODS for one in METHODS[name]], ids=str)
@pytest.mark.parametrize("check", EXTRACTOR_CHECKS, ids=named)
def test_an_extractor(check: Callable[..., None], name: str, config: Mapping[str, Any], tmp_path: Path) -> None:
    check(name, config, tmp_path)


@pytest.fixture(scope="module", params=TYPES)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(request.param, TYPES[request.param], tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("check", MODEL_TYPE_CHECKS, ids=named)
def test_a_model_type(check: Callable[[Trial], None], trial: Trial) -> None:
    check(trial)
