"""The checks of `ser.testing` notice what they are for, and let pass what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ser.features import EXTRACTORS
from ser.models import MODEL_TYPES
from ser.models.keras_classifier import KerasClassifier
from ser.testing import EXTRACTOR_CHECKS, MODEL_TYPE_CHECKS, Trial
from tests.conformance.faulty import FAULTY_EXTRACTORS, FAULTY_MODEL_TYPES, Forgets, Level

CHECKS = {check.__name__: check for check in (*EXTRACTOR_CHECKS, *MODEL_TYPE_CHECKS)}


@pytest.mark.parametrize("check", EXTRACTOR_CHECKS)
def test_what_is_right_passes(check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EXTRACTORS.names()
    monkeypatch.setitem(EXTRACTORS._entries, "Level", Level)
    check("Level", {}, tmp_path)


def test_every_check_of_extractors_is_seen_to_notice_something() -> None:
    assert list(FAULTY_EXTRACTORS) == [check.__name__ for check in EXTRACTOR_CHECKS]


@pytest.mark.parametrize(
    ("check", "kind"), [(check, kind) for check, kinds in FAULTY_EXTRACTORS.items() for kind in kinds]
)
def test_a_faulty_extractor_is_noticed(
    check: str, kind: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EXTRACTORS.names()
    monkeypatch.setitem(EXTRACTORS._entries, kind.__name__, kind)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        CHECKS[check](kind.__name__, {}, tmp_path)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial("KerasClassifier", {"epochs": 1}, tmp_path_factory.mktemp("trial"))


@pytest.mark.parametrize(
    ("check", "kind"), [(check, kind) for check, kinds in FAULTY_MODEL_TYPES.items() for kind in kinds]
)
def test_a_faulty_model_type_is_noticed(
    check: str, kind: type[Any], features: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    MODEL_TYPES.names()
    monkeypatch.setitem(MODEL_TYPES._entries, kind.__name__, kind)
    with pytest.raises(AssertionError):
        CHECKS[check](Trial(kind.__name__, {"epochs": 1}, features.folder))


def test_a_model_that_hears_of_held_out_recordings_is_noticed(features: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a way round the training part: how many labels there are in all, as of a file that was left about."""
    left_about: list[int] = []
    fit = Trial.fit

    class Peeks(KerasClassifier):
        def fit(self, *arguments: Any, **named: Any) -> Any:
            return super().fit(*arguments, **{**named, "seed": left_about[-1]})

    def fit_and_leave_about(self: Trial, corpus: Any = None, watch: Any = None) -> Any:
        left_about.append(len({sample.emotion for sample in (corpus or self.corpus).samples}))
        return fit(self, corpus, watch)

    MODEL_TYPES.names()
    monkeypatch.setitem(MODEL_TYPES._entries, "Peeks", Peeks)
    monkeypatch.setattr(Trial, "fit", fit_and_leave_about)
    with pytest.raises(AssertionError, match="fitted with other held-out recordings"):
        CHECKS["held_out_recordings_change_nothing"](Trial("Peeks", {"epochs": 1}, features.folder))


def test_a_model_that_is_served_other_features_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EXTRACTORS.names()
    monkeypatch.setitem(EXTRACTORS._entries, "Forgets", Forgets)
    own = {"dataset_feature_extract_methods": {"Forgets": {}}}
    trial = Trial("KerasClassifier", {"epochs": 1}, tmp_path, own)
    with pytest.raises(AssertionError):
        CHECKS["a_saved_model_answers_the_same_where_models_are_served"](trial)
    fed = Trial("KerasClassifier", {"epochs": 1}, tmp_path / "whole")
    CHECKS["a_saved_model_answers_the_same_where_models_are_served"](fed)
