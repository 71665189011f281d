"""What may be computed in the event loop."""

from __future__ import annotations

import math

import pytest

from inference_server.cost import LOOP_SECONDS, Cost
from ser.audio.recordings import Header, wave_header
from ser.bundles.bundle import Bundle
from ser.predictor import Predictor
from tests.signals import tone, wav


@pytest.fixture
def cost(bundle: Bundle) -> Cost:
    return Cost(Predictor(bundle.folder.parent, bundle.manifest.model_id))


def test_what_is_long_or_is_not_cheap_to_decode_is_for_a_thread(cost: Cost) -> None:
    assert cost.of(None) == math.inf
    assert cost.of(Header(8_000, 1, 800, 44)) == math.inf
    assert cost.of(Header(16_000, 3, 800, 44)) == math.inf
    assert cost.of(wave_header(wav(tone(0.5)))) < cost.of(wave_header(wav(tone(30.0))))
    assert cost.of(Header(16_000, 1, 600 * 16_000, 44)) > LOOP_SECONDS


def test_an_estimate_follows_what_is_measured(cost: Cost) -> None:
    header = Header(16_000, 1, 16_000, 44)
    first = cost.of(header)
    for took in (first * 100, first / 100):
        for _ in range(200):
            cost.learn(cost.of(header), took)
        assert (cost.of(header) > first) == (took > first)
    cost.learn(math.inf, 1.0)  # tells nothing
    assert math.isfinite(cost.of(header))


def test_a_model_of_long_pieces_is_not_measured(bundle: Bundle) -> None:
    predictor = Predictor(bundle.folder.parent, bundle.manifest.model_id)
    predictor.bundle.frontend.piece_samples = 10**15
    assert Cost(predictor).of_samples(1) == math.inf
