"""How the ensemble is put together: whose clips vouch, how sure it says it is, what virtual speakers are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import Ridge as RidgeOracle

from ser.acoustics import HOP_SAMPLES
from ser.experts import ensemble
from ser.experts import rows as rows_module
from ser.experts.description import Columns
from ser.experts.ensemble import Recipe, fit_ensemble
from ser.experts.familiarity import unheard_distances
from ser.experts.profiles import Profiles, clip_statistics
from ser.experts.rows import describe_rows
from ser.experts.scaling import CLIP
from ser.features.extractors.functionals import Functionals, FunctionalsConfig
from ser.features.extractors.speech_encoder import SpeechEncoder, SpeechEncoderConfig
from ser.features.extractors.speech_frames import COLUMNS, SpeechFrames, SpeechFramesConfig
from ser.features.feature_set import FeatureSet, Sample
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.progress import silent
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, statistics_of

WIDTH = 12
EMOTIONS = ("anger", "fear", "joy")


class Narrow(Functionals):
    """Stands where functionals stand, and is twelve numbers wide."""

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002
        return (WIDTH,)


FRONTEND = FrontEnd(16_000, normalize=True, extractors={"Functionals": Narrow.create(FunctionalsConfig(), [])})


def training(speakers: Sequence[str], voices: int = 0, seed: int = 1) -> TrainingSet:
    """Clips of two pieces by these speakers, one a clip; a speaker's voice moves all columns, an emotion one."""
    rng = np.random.default_rng(seed)
    offset = {speaker: rng.standard_normal(WIDTH) * 2 for speaker in sorted(set(speakers))}
    samples, rows = [], []
    for number, speaker in enumerate(speakers):
        emotion = EMOTIONS[number % 3]
        samples.append(Sample(f"{number:03d}.wav", speaker, "female", "a", emotion, 1.0, 2))
        middle = offset[speaker] + 3 * np.eye(WIDTH)[EMOTIONS.index(emotion)]
        rows += [rng.standard_normal(WIDTH) + middle for _ in range(2)]
    clean = np.array(rows, dtype=np.float32)
    virtual = None
    if voices:
        virtual = np.stack([clean + 10 * (voice + 1) for voice in range(voices)], axis=1).astype(np.float32)
    corpus = FeatureSet(clean, tuple(samples), virtual)
    return TrainingSet.of(corpus, {sample.name for sample in samples}, FRONTEND)


SPEAKERS = [f"s{number // 18}" for number in range(90)]


def solved(rows: np.ndarray, labels: np.ndarray, chosen: np.ndarray, penalty: float) -> RidgeOracle:
    weight = (len(labels) / 3 / np.bincount(labels))[labels]
    return RidgeOracle(alpha=penalty * rows.shape[1]).fit(rows[chosen], np.eye(3)[labels[chosen]], weight[chosen])


def scaled(rows: np.ndarray) -> np.ndarray:
    return np.clip((rows - rows.mean(axis=0)) / rows.std(axis=0), -CLIP, CLIP)


def far(rows: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean squares of scaled rows, by what had no part in the scaling; and the distance that one in ten exceeds."""
    unheard = np.empty(len(rows))
    for number in np.unique(left_out):
        others = rows[left_out != number]
        own = (rows[left_out == number] - others.mean(axis=0)) / others.std(axis=0)
        unheard[left_out == number] = np.square(np.clip(own, -CLIP, CLIP)).mean(axis=1)
    return unheard, float(np.quantile(unheard, 0.9))


def test_where_nobody_can_vouch_for_another_all_rows_tell_how_far_is_far() -> None:
    rows = np.random.default_rng(6).standard_normal((40, WIDTH)).astype(np.float32)
    expected = np.square(scaled(rows.astype(np.float64))).mean(axis=1)[:30]
    found = unheard_distances(rows, np.zeros(40, dtype=np.int64), 30)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_rows_that_do_not_count_have_no_part_in_how_far_is_far() -> None:
    rows = np.random.default_rng(6).standard_normal((40, WIDTH)).astype(np.float32)
    rows[30:] += 50
    weights = (np.arange(40) < 30).astype(np.float32)
    folds = np.arange(40) % 3
    expected = unheard_distances(rows[:30], folds[:30], 30)
    np.testing.assert_allclose(unheard_distances(rows, folds, 30, weights), expected, rtol=1e-4)


def surprise(scores: np.ndarray, labels: np.ndarray) -> float:
    logits = scores - scores.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))


@pytest.mark.parametrize("speakers", [SPEAKERS, ["one"] * 90], ids=["of five speakers", "of one speaker"])
def test_it_is_as_sure_as_it_was_right_of_speakers_that_it_had_not_heard(speakers: list[str]) -> None:
    learnt = training(speakers)
    fitted = fit_ensemble(learnt, Recipe(("Functionals",), adapts=False, penalty=1.0), seed=1, report=silent)
    rows, labels = scaled(learnt.rows[np.arange(len(learnt.rows))].astype(np.float64)), learnt.labels
    # Left out together: a speaker; of one speaker alone, every fifth clip. A clip has two rows.
    left_out = np.array([int(name[1]) for name in SPEAKERS]) if len(set(speakers)) > 1 else np.arange(90) % 5
    unheard = np.zeros((180, 3))
    for number in range(5):
        test = np.repeat(left_out == number, 2)
        unheard[test] = solved(rows, labels, np.flatnonzero(~test), 1.0).predict(rows[test])
    raw = learnt.rows[np.arange(180)].astype(np.float64)
    distances, reach = far(raw, np.repeat(left_out, 2))
    unheard /= np.maximum(distances / reach, 1)[:, None] ** 2
    best = minimize_scalar(lambda log: surprise(unheard / np.exp(log), labels), bounds=(-5, 3), method="bounded")
    # Rows as they were learnt, and twice as far from the middle.
    for stretch in (1, 2):
        stretched = raw.mean(axis=0) + stretch * (raw - raw.mean(axis=0))
        there = np.clip(stretch * (raw - raw.mean(axis=0)) / raw.std(axis=0), -CLIP, CLIP)
        ratio = np.square(there).mean(axis=1) / reach
        scores = solved(rows, labels, np.arange(180), 1.0).predict(there) / np.exp(best.x)
        scores /= np.maximum(ratio, 1)[:, None] ** 2
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        found = fitted.judge(stretched.astype(np.float32))
        np.testing.assert_allclose(found.probabilities, expected, atol=0.02)
        assert found.familiarity is not None
        np.testing.assert_allclose(found.familiarity, 1 / (1 + ratio**4), atol=1e-3)
    assert (ratio > 1.5).any()  # so that the probabilities above are lowered
    assert np.exp(best.x) < 0.9  # so that dividing by nothing is another answer


def test_the_virtual_speakers_do_not_vouch_for_the_temperature() -> None:
    """Their rows are the recordings' own, moved: what is fitted on the recordings alone stays."""
    learnt = training(SPEAKERS, voices=1)
    heard: list[tuple[int, int]] = []
    original = ensemble.fit_weights

    def watched(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        heard.append((scores.shape[1], len(labels)))
        return original(scores, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "fit_weights", watched)
        fit_ensemble(learnt, Recipe(("Functionals",), adapts=True, penalty=1.0), seed=1, report=silent)
    assert heard == [(180, 180)] * 2


def test_the_more_clips_are_known_the_more_the_adapted_experts_say() -> None:
    learnt = training(SPEAKERS)
    fitted = fit_ensemble(learnt, Recipe(("Functionals",), adapts=True, penalty=1.0), seed=1, report=silent)
    adaptation = fitted.adaptation
    assert adaptation is not None
    row = learnt.rows[np.array([0])]
    ratios: dict[float, float] = {}

    def log_odds(clips: float) -> np.ndarray:
        profile = adaptation.profile(adaptation.known["s0"]).copy()
        profile[-1] = clips
        answer = fitted.model(np.concatenate([row, profile[None]], axis=1)).numpy()[0]
        ratios[clips] = (1 / float(answer[3]) - 1) ** 0.25
        logs = np.log(answer[:3].astype(np.float64))
        return logs[:2] - logs[2]

    none, half, nearly_all = log_odds(0), log_odds(1), log_odds(1e6)
    # All but alone, the adapted ones say what a classifier says of rows that are scaled by each speaker's profile.
    profiles, _ = profiles_of(learnt, 1)
    rows = scaled((learnt.rows[np.arange(180)] - profiles[:, :WIDTH]) * profiles[:, WIDTH : 2 * WIDTH])
    scores = solved(rows, learnt.labels, np.arange(180), 1.0).predict(rows)[0]
    ratio = (scores[:2] - scores[2]) / nearly_all  # the temperature
    assert ratio[0] == pytest.approx(ratio[1], rel=0.02)
    assert not np.allclose(none, nearly_all, atol=0.1)
    np.testing.assert_allclose(half, (none + nearly_all) / 2, atol=1e-2)
    assert ratios[0] != pytest.approx(ratios[1e6], rel=0.05)  # how far, too, is told by the one that has the say
    assert ratios[1] == pytest.approx((ratios[0] + ratios[1e6]) / 2, rel=1e-3)
    np.testing.assert_allclose(log_odds(3), 0.25 * none + 0.75 * nearly_all, atol=1e-2)


@pytest.mark.parametrize(("spare", "on_disk"), [(0, False), (-1, True)])
def test_descriptions_are_held_in_memory_as_far_as_they_fit(
    spare: int, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors are not held at all: they are the features, or made of them with the profiles of who speaks."""
    import keras

    learnt = with_frames(training(SPEAKERS))
    everything = learnt.rows[np.arange(180)]
    columns = Columns.of(FRONTEND_OF_BOTH, ("Functionals", "SpeechFrames"))
    width = columns.num_features + 2 * columns.num_statistics + 1
    each = np.random.default_rng(2).standard_normal((5, width - columns.num_features)).astype(np.float32)
    profiles = Profiles(each, np.arange(180) % 5)
    inputs = keras.Input((width,))
    of_frames = {"cepstral": inputs[:, 2:9] * 2, "spectral": inputs[:, -1:]}
    descriptions = [{"functionals": inputs, **of_frames}] * 2
    monkeypatch.setattr(rows_module, "_MEMORY_BYTES", 4 * 180 * 2 * 8 + spare)
    found = describe_rows(learnt, columns, profiles, inputs, descriptions, tmp_path)
    assert bool(list(tmp_path.iterdir())) is on_disk
    numbers = np.array([7, 3, 4, 179])
    own = each[numbers % 5]
    mean, inverse = own[:, :WIDTH], own[:, columns.num_statistics :][:, :WIDTH]
    plain, adapted = everything[numbers, :WIDTH], (everything[numbers, :WIDTH] - mean) * inverse
    computed = [2 * everything[numbers, 2:9], own[:, -1:]]
    for rows, expected in zip(found, [plain, *computed, adapted, *computed], strict=True):
        assert rows.shape == (180, expected.shape[1])
        assert len(rows) == 180
        np.testing.assert_allclose(rows[numbers], expected, rtol=1e-6)


def sums(rows: np.ndarray, clips: int) -> SpeakerStatistics:
    return SpeakerStatistics(clips, *statistics_of([rows.astype(np.float32)]))


def profiles_of(learnt: TrainingSet, seed: int) -> tuple[np.ndarray, SpeakerAdaptation]:
    adaptation = SpeakerAdaptation.fit(clip_statistics(learnt))
    profiles = Profiles.of(learnt, adaptation, np.random.default_rng(seed))
    return profiles[np.arange(len(learnt.rows))], adaptation


def test_each_row_learns_with_the_profile_of_its_own_speaker_and_voice() -> None:
    learnt = training(SPEAKERS, voices=2)
    everything = learnt.rows[np.arange(len(learnt.rows))].reshape(3, 180, WIDTH)
    known: Mapping[int, set[int]] = {1: set(), 2: set()}
    for seed in range(8):
        profiles, adaptation = profiles_of(learnt, seed)
        by_voice = profiles.reshape(3, 180, -1)
        for speaker in range(5):
            own = np.repeat(np.array(SPEAKERS) == f"s{speaker}", 2)
            np.testing.assert_allclose(
                by_voice[0, own], np.tile(adaptation.profile(sums(everything[0, own], 18)), (36, 1)), rtol=1e-5
            )
            for voice in (1, 2):
                told = by_voice[voice, own]
                assert (told == told[0]).all()
                clips = int(told[0, -1])
                known[voice].add(clips)
                # The mean of so many clips of this voice lies 10 or 20 above the recordings', but for the shrinking.
                shift = (told[0, :WIDTH] - by_voice[0, own][0, :WIDTH]).mean()
                expected = (10 * voice * clips / (clips + adaptation.prior_clips)).mean()
                assert shift == pytest.approx(expected, abs=1.5)
                if clips == 18:
                    whole = adaptation.profile(sums(everything[voice, own], 18))
                    np.testing.assert_allclose(told[0], whole, rtol=1e-4, atol=1e-4)
    assert known == {1: {5, 10, 18}, 2: {5, 10, 18}}  # 20 clips would be more than there are


def test_the_speakers_of_a_fold_are_its_own() -> None:
    folds = ensemble._folds(training(SPEAKERS, voices=1))
    assert folds.tolist() == [int(name[1]) for name in SPEAKERS for _ in range(2)] * 2
    unknown = ensemble._folds(training(["a/unknown"] * 3 + ["b/unknown"] * 2))
    assert unknown.tolist() == [number for number in range(5) for _ in range(2)]  # each clip for itself
    many = ensemble._folds(training([f"s{number:02d}" for number in range(12)]))
    assert many.tolist() == [number % 5 for number in range(12) for _ in range(2)]


FRAMES = 10
FRONTEND_OF_BOTH = FrontEnd(
    2 * FRAMES * HOP_SAMPLES,
    normalize=True,
    extractors={**FRONTEND.extractors, "SpeechFrames": SpeechFrames.create(SpeechFramesConfig(), [])},
)


def with_frames(learnt: TrainingSet) -> TrainingSet:
    """The same clips with frames as well, of which the last three are padding."""
    rng = np.random.default_rng(4)
    rows = learnt.rows[np.arange(len(learnt.rows))]
    frames = rng.standard_normal((len(rows), FRAMES, len(COLUMNS))).astype(np.float32) + learnt.labels[:, None, None]
    frames[:, :, -1] = np.arange(FRAMES) < FRAMES - 3
    both = np.concatenate([rows, frames.reshape(len(rows), -1)], axis=1)
    corpus = FeatureSet(both, learnt.samples)
    return TrainingSet.of(corpus, {sample.name for sample in learnt.samples}, FRONTEND_OF_BOTH)


RECIPE_OF_BOTH = Recipe(("Functionals", "SpeechFrames"), adapts=False, penalty=1.0, n_components=2, n_dimensions=4)


def test_the_temperature_is_that_of_all_experts_together() -> None:
    experts: list[np.ndarray] = []
    tempered: list[np.ndarray] = []
    solve, temper = ensemble.fit_ridge, ensemble.fit_weights

    def solve_and_tell(*arguments: Any, **settings: Any) -> Any:
        ridge, scores = solve(*arguments, **settings)
        experts.append(scores)
        return ridge, scores

    def temper_and_tell(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        tempered.append(scores)
        return temper(scores, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "fit_ridge", solve_and_tell)
        patch.setattr(ensemble, "fit_weights", temper_and_tell)
        learnt = with_frames(training(SPEAKERS))
        fit_ensemble(learnt, RECIPE_OF_BOTH, seed=1, report=silent)
    functionals = learnt.rows[np.arange(180)][:, :WIDTH].astype(np.float64)
    distances, reach = far(functionals, np.repeat([int(name[1]) for name in SPEAKERS], 2))
    expected = np.sum(experts, axis=0) / np.maximum(distances / reach, 1)[:, None] ** 2
    assert (len(experts), len(tempered)) == (4, 1)
    np.testing.assert_allclose(tempered[0], expected[np.newaxis], atol=1e-4)


class NarrowEncoder(SpeechEncoder):
    """Stands where a pretrained encoder stands, and hears twelve numbers."""

    def shape(self, piece_samples: int) -> tuple[int, ...]:  # noqa: ARG002
        return (WIDTH,)


def test_the_encoder_s_expert_has_its_own_weight_and_penalty_and_tells_what_is_familiar() -> None:
    learnt = training(SPEAKERS)
    rows, labels = learnt.rows[np.arange(180)], learnt.labels
    rng = np.random.default_rng(7)
    heard = (0.3 * rng.standard_normal(rows.shape) ** 3 + np.eye(3, WIDTH)[labels]).astype(np.float32)
    extractors = {**FRONTEND.extractors, "SpeechEncoder": NarrowEncoder.create(SpeechEncoderConfig(), [])}
    frontend = FrontEnd(16_000, normalize=True, extractors=extractors)
    corpus = FeatureSet(np.concatenate([rows, heard], axis=1), learnt.samples)
    both = TrainingSet.of(corpus, {sample.name for sample in learnt.samples}, frontend)
    recipe = Recipe(("Functionals", "SpeechEncoder"), adapts=False, penalty=1.0, encoder_penalty=20.0)
    found = fit_ensemble(both, recipe, seed=1, report=silent).judge(corpus.rows)

    left_out = np.repeat([int(name[1]) for name in SPEAKERS], 2)
    distances, reach = far(heard.astype(np.float64), left_out)
    unheard, told = np.zeros((2, 180, 3)), np.zeros((2, 180, 3))
    for place, (part, penalty) in enumerate([(rows, 1.0), (heard, 20.0)]):
        columns = scaled(part.astype(np.float64))
        told[place] = solved(columns, labels, np.arange(180), penalty).predict(columns)
        for number in range(5):
            test = left_out == number
            unheard[place, test] = solved(columns, labels, np.flatnonzero(~test), penalty).predict(columns[test])
    unheard /= np.maximum(distances / reach, 1)[:, None] ** 2
    best = minimize(
        lambda logs: surprise(np.tensordot(np.exp(logs), unheard, axes=1), labels), [0, 0], method="Nelder-Mead"
    )
    weights = np.exp(best.x)
    assert max(weights) > 1.5 * min(weights)  # one weight for both would be another answer
    ratio = np.square(scaled(heard.astype(np.float64))).mean(axis=1) / reach
    scores = np.tensordot(weights, told, axes=1) / np.maximum(ratio, 1)[:, None] ** 2
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, atol=0.01)
    assert found.familiarity is not None
    np.testing.assert_allclose(found.familiarity, 1 / (1 + ratio**4), atol=1e-3)


def test_what_lies_behind_the_end_of_the_speech_says_nothing() -> None:
    learnt = with_frames(training(SPEAKERS))
    fitted = fit_ensemble(learnt, RECIPE_OF_BOTH, seed=1, report=silent)
    rows = learnt.rows[np.arange(40)]
    shouting, whispering = rows.copy(), rows.copy()
    # The frame before the padding looks two ahead: of those that are changed, it sees none.
    shouting[:, WIDTH:].reshape(40, FRAMES, -1)[:, -1, :-1] = 50
    whispering[:, WIDTH:].reshape(40, FRAMES, -1)[:, 2, :-1] = 50
    answer = fitted.model(rows).numpy()
    np.testing.assert_allclose(fitted.model(shouting).numpy(), answer, atol=1e-5)
    assert np.abs(fitted.model(whispering).numpy() - answer).max() > 0.05
