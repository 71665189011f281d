"""What may be computed in the event loop."""

from __future__ import annotations

import math

import pytest

from ser.audio.recordings import Header, wave_header
from ser.bundles.bundle import Bundle
from ser.predictor import Predictor
from ser_inference_server.cost import LOOP_SECONDS, Cost
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


def test_decoding_costs_by_the_frame_and_the_channel(cost: Cost) -> None:
    computing = cost.of_samples(16_000)
    one, two = (cost.of(Header(16_000, channels, 16_000, 44)) - computing for channels in (1, 2))
    assert one == pytest.approx(16_000 * 2e-9, rel=1e-3)
    assert two == pytest.approx(2 * one, rel=1e-3)


def test_an_estimate_follows_what_is_measured(cost: Cost) -> None:
    first = cost.of_samples(16_000)
    # As far as by a factor of 8 up and of 4 down: a strange measurement does not decide for ever.
    for took, ends_at in ((first * 100, 8 * first), (first / 100, first / 4), (first * 2, first * 2)):
        for _ in range(1_000):
            cost.learn(cost.of_samples(16_000), took)
        assert cost.of_samples(16_000) == pytest.approx(ends_at, rel=0.01)
    cost.learn(math.inf, 1.0)  # tells nothing
    assert cost.of_samples(16_000) == pytest.approx(first * 2, rel=0.01)


def test_a_model_of_long_pieces_is_not_measured(bundle: Bundle) -> None:
    predictor = Predictor(bundle.folder.parent, bundle.manifest.model_id)
    predictor.bundle.frontend.piece_samples = 10**15
    assert Cost(predictor).of_samples(1) == math.inf
