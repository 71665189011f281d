from __future__ import annotations

import numpy as np
import pytest

from ser.config import parse
from ser.errors import ConfigError
from ser.features import About
from ser.features.extractors.speaker_and_gender_and_text_type import (
    SpeakerAndGenderAndTextType,
    SpeakerAndGenderAndTextTypeConfig,
)

CORPUS = [About("b", "male", "t1"), About("a", "female", "t2"), About("b", "male", "t2")]
PIECES = np.zeros((2, 100), dtype=np.float32)


def extract(about: About, **config: bool) -> list[list[float]]:
    extractor = SpeakerAndGenderAndTextType.create(SpeakerAndGenderAndTextTypeConfig(**config), CORPUS)
    features = extractor.extract(PIECES, [about] * len(PIECES))
    assert features.dtype == np.float32
    assert features.shape == (2, *extractor.shape(100))
    return features.tolist()


def test_each_property_is_a_one_hot_over_the_sorted_values_of_the_corpus() -> None:
    #                          a  b    f  m    t1 t2
    assert extract(CORPUS[0]) == [[0, 1, 0, 1, 1, 0]] * 2
    assert extract(CORPUS[1]) == [[1, 0, 1, 0, 0, 1]] * 2


def test_a_property_can_be_left_out() -> None:
    assert extract(CORPUS[0], speaker=False) == [[0, 1, 1, 0]] * 2
    assert extract(CORPUS[0], speaker=False, gender=False) == [[1, 0]] * 2


def test_the_unknown_is_a_vector_of_zeros() -> None:
    assert extract(About("stranger", None, "t1")) == [[0, 0, 0, 0, 1, 0]] * 2
    assert extract(About()) == [[0] * 6] * 2


def test_at_least_one_property_is_used() -> None:
    with pytest.raises(ConfigError, match="at least one of speaker, gender, text"):
        parse(SpeakerAndGenderAndTextTypeConfig, {"speaker": False, "gender": False, "text": False})
