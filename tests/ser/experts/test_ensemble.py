"""The ensemble's calibration, profiles and mixing, by other ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import Ridge as Oracle

from ser.experts.ensemble import FOLDS, Recipe, _profiles, _statistics, fit_ensemble
from ser.feature_set import FeatureSet, Sample
from ser.features.functionals import Functionals, FunctionalsConfig
from ser.features.speech_frames import SpeechFrames, SpeechFramesConfig
from ser.frontend import FrontEnd
from ser.models.base import Fitted
from ser.progress import silent
from ser.speakers import SpeakerAdaptation
from ser.training_set import TrainingSet

SPEAKERS, EACH, CLASSES, VOICES = 7, 18, 3, 2
RNG = np.random.default_rng(4)


class Narrow(Functionals):
    """As functionals, but few of them: what is solved is small."""

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002 - as in what it stands for
        return (24,)


FUNCTIONALS = FrontEnd(8_000, normalize=True, extractors={"Functionals": Narrow.create(FunctionalsConfig(), [])})
FRAMES = FrontEnd(8_000, normalize=True, extractors={"SpeechFrames": SpeechFrames.create(SpeechFramesConfig(), [])})


def samples() -> tuple[Sample, ...]:
    # Names follow no speaker: a split by clip would have all speakers in each fold.
    return tuple(
        Sample(f"{number * 37 % (SPEAKERS * EACH):03d}.wav", f"s{number // EACH}", "", "", "abc"[number % 3], 1.0, 1)
        for number in range(SPEAKERS * EACH)
    )


def training_set() -> TrainingSet:
    """Each speaker says each emotion in an own way, which a stranger does not share, beside a little that all share."""
    count, width = SPEAKERS * EACH, FUNCTIONALS.num_features
    speaker, label = np.arange(count) // EACH, np.arange(count) % CLASSES
    common, own = RNG.normal(size=(CLASSES, width)), RNG.normal(size=(SPEAKERS, CLASSES, width))
    rows = 0.25 * common[label] + own[speaker, label] + 2.0 * RNG.normal(size=(count, width))
    virtual = rows[:, None] + 0.5 * RNG.normal(size=(count, VOICES, width))
    everything = FeatureSet(rows.astype(np.float32), samples(), virtual.astype(np.float32))
    return TrainingSet.of(everything, [sample.name for sample in everything.samples], FUNCTIONALS)


TRAINING = training_set()
ROWS = TRAINING.rows[np.arange(len(TRAINING.rows))]


@pytest.fixture(scope="module")
def plain() -> Fitted:
    return fit_ensemble(TRAINING, Recipe(("Functionals",), False, 1.0), seed=1, report=silent)


@pytest.fixture(scope="module")
def adapting() -> Fitted:
    return fit_ensemble(TRAINING, Recipe(("Functionals",), True, 1.0), seed=1, report=silent)


def _solve(rows: np.ndarray, labels: np.ndarray) -> Oracle:
    weight = (len(TRAINING.labels) / CLASSES / np.bincount(TRAINING.labels))[labels]
    return Oracle(alpha=1.0 * rows.shape[1]).fit(rows, np.eye(CLASSES)[labels], sample_weight=weight)


def _temperature(groups: np.ndarray) -> float:
    """By SciPy: what makes the scores of real clips most probable, each by a ridge solved without its group."""
    scaled = np.clip((ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0), -5, 5).astype(np.float64)
    real = SPEAKERS * EACH
    scores = np.zeros((real, CLASSES))
    for group in np.unique(groups):
        learnt = np.tile(groups, 1 + VOICES) != group
        model = _solve(scaled[learnt], TRAINING.labels[learnt])
        scores[groups == group] = model.predict(scaled[:real][groups == group])

    def surprise(logarithm: float) -> float:
        logits = scores / np.exp(logarithm)
        logits = logits - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(real), TRAINING.labels[:real]]).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(np.log(0.01), np.log(10)), method="bounded").x))


def test_the_temperature_is_scipy_s_over_speakers_that_were_not_heard(plain: Fitted) -> None:
    scaled = np.clip((ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0), -5, 5).astype(np.float64)
    scores = _solve(scaled, TRAINING.labels).predict(scaled)
    logits = np.log(plain.predict(ROWS).astype(np.float64))
    scores, logits = (values - values.mean(axis=1, keepdims=True) for values in (scores, logits))
    found = (scores * scores).sum() / (scores * logits).sum()
    np.testing.assert_allclose(logits * found, scores, atol=5e-3)
    speakers = np.arange(SPEAKERS * EACH) // EACH
    expected = _temperature(speakers % FOLDS)
    assert found == pytest.approx(expected, rel=0.04)  # those that are tried are 3.5 % apart
    # Heard speakers would have it far surer of itself.
    by_name = np.argsort(np.argsort([sample.name for sample in TRAINING.samples])) % FOLDS
    assert _temperature(by_name) < 0.7 * expected
    assert abs(np.log(expected)) > 0.2


def _logits(fitted: Fitted, clips: float) -> np.ndarray:
    """What an adapting model says where the profile is of so many clips, all else the same."""
    assert fitted.adaptation is not None
    profile = fitted.adaptation.profile(fitted.adaptation.known["s3"])
    profile[-1] = clips
    read = np.concatenate([ROWS[:20], np.tile(profile, (20, 1))], axis=1)
    logits = np.log(np.asarray(fitted.model(read)).astype(np.float64))
    return logits - logits.mean(axis=1, keepdims=True)


def test_of_a_stranger_it_says_what_a_model_says_that_does_not_adapt(plain: Fitted, adapting: Fitted) -> None:
    np.testing.assert_allclose(adapting.predict(ROWS), plain.predict(ROWS), atol=1e-5)


def test_the_more_clips_are_known_the_more_say_has_what_adapts(adapting: Fitted) -> None:
    stranger, adapted = _logits(adapting, 0), _logits(adapting, 1e9)
    assert np.abs(stranger - adapted).max() > 0.3
    for clips, share in ((1, 1 / 2), (3, 3 / 4), (9, 9 / 10)):
        expected = stranger + share * (adapted - stranger)
        np.testing.assert_allclose(_logits(adapting, clips), expected, atol=2e-3)


def test_virtual_speakers_have_profiles_of_their_own_of_few_clips_and_of_all() -> None:
    """Whatever a speaker says in one voice is one number here, so that a profile is known by its closed form."""
    count, width = SPEAKERS * EACH, FUNCTIONALS.num_features
    speaker = np.arange(count) // EACH
    value = np.stack([10.0 * speaker + voice for voice in range(1 + VOICES)], axis=1)
    rows = np.repeat(value[:, :1], width, axis=1).astype(np.float32)
    virtual = np.repeat(value[:, 1:, None], width, axis=2).astype(np.float32)
    everything = FeatureSet(rows, samples(), virtual)
    training = TrainingSet.of(everything, [sample.name for sample in everything.samples], FUNCTIONALS)
    adaptation = SpeakerAdaptation.fit(_statistics(training))
    known = set()
    for seed in range(4):
        profiles = _profiles(training, adaptation, np.random.default_rng(seed))
        assert profiles.shape == (count * (1 + VOICES), adaptation.num_columns)
        for number in range(count * (1 + VOICES)):
            voice, place = divmod(number, count)
            clips = int(profiles[number, -1])
            expected = (clips * value[place, voice] + 2 * rows.mean(dtype=np.float64)) / (clips + 2)
            assert profiles[number, 0] == pytest.approx(expected, rel=1e-5)
            if voice == 0:
                assert clips == EACH
            else:
                known.add(clips)
    assert known == {5, 10, EACH}  # 20 are more than there are


def _frames(noise: float) -> FeatureSet:
    """Frames of which the last third is no speech, but filled with something."""
    (block,) = FRAMES.blocks
    chance = np.random.default_rng(2)
    count, (length, columns) = SPEAKERS * EACH, block.shape
    frames = chance.normal(size=(count, length, columns)).astype(np.float32)
    frames[:, :, 0] += 3 * (np.arange(count) % CLASSES)[:, None]
    end = length * 2 // 3
    frames[:, :, -1] = np.arange(length) < end
    frames[:, end + 2 :, 32:-1] = noise  # a view looks two frames ahead; the level is of all bands
    return FeatureSet(frames.reshape(count, -1), samples())


def test_padding_is_no_speech_neither_where_it_is_learnt_nor_where_it_is_judged() -> None:
    recipe = Recipe(("SpeechFrames",), False, 1.0, n_components=2, n_dimensions=4)
    clean, noisy = _frames(0.0), _frames(1e3)
    names = [sample.name for sample in clean.samples]
    models = [
        fit_ensemble(TrainingSet.of(features, names, FRAMES), recipe, seed=1, report=silent)
        for features in (clean, noisy)
    ]
    expected = models[0].predict(clean.rows)
    assert (expected.max(axis=1) > 0.5).any()
    np.testing.assert_allclose(models[0].predict(noisy.rows), expected, atol=1e-5)
    np.testing.assert_allclose(models[1].predict(clean.rows), expected, atol=1e-3)
