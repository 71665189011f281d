"""What a model is told of a voice, computed by hand from the clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.errors import DamagedError
from ser.speakers.statistics import (
    SpeakerAdaptation,
    SpeakerStatistics,
    known_speakers,
    statistics_of,
    together,
    with_profiles,
)
from ser.storage.arrays import load_arrays

RNG = np.random.default_rng(8)
# Three columns: one that differs between speakers, one that does not, one that never varies.
CLIPS = {
    "zoe": [np.column_stack([RNG.normal(5, 1, 4), RNG.normal(0, 2, 4), np.full(4, 3.0)]) for _ in range(6)],
    "ann": [np.column_stack([RNG.normal(-5, 1, 4), RNG.normal(0, 2, 4), np.full(4, 3.0)]) for _ in range(2)],
    "mia": [np.column_stack([RNG.normal(1, 3, 4), RNG.normal(0, 2, 4), np.full(4, 3.0)]) for _ in range(3)],
}


def summed(clips: list[np.ndarray]) -> SpeakerStatistics:
    return SpeakerStatistics(len(clips), *statistics_of([np.concatenate(clips).astype(np.float32)]))


@pytest.fixture
def adaptation() -> SpeakerAdaptation:
    return SpeakerAdaptation.fit((name, summed([clip])) for name, clips in CLIPS.items() for clip in clips)


def prior_by_hand(column: int) -> float:
    """One-way analysis of variance of the clips' means: within speakers, by between speakers."""
    means = [[clip[:, column].mean() for clip in own] for own in CLIPS.values()]
    within = sum(sum((one - np.mean(own)) ** 2 for one in own) for own in means) / (6 + 2 + 3 - 3)
    if not within:
        return 2.0
    between = np.var([np.mean(own) for own in means], ddof=1) - within * (1 / 6 + 1 / 2 + 1 / 3) / 3
    return float(np.clip(within / between, 0.5, 10)) if between > 0 else 10.0


def by_hand(values: np.ndarray, clips: int) -> np.ndarray:
    """Means shrunk by their own clips, deviations around them by ten, of what the training speakers have in common."""
    everything = np.concatenate([clip for own in CLIPS.values() for clip in own])
    common = everything.mean(axis=0)
    within = np.mean([np.concatenate(own).var(axis=0) for own in CLIPS.values()], axis=0)
    weight = len(values)
    prior = np.array([prior_by_hand(column) for column in range(3)])
    mean = (values.sum(axis=0) + prior * 4 * common) / (weight + prior * 4)
    variance = (np.square(values - mean).sum(axis=0) + 10 * 4 * within) / (weight + 10 * 4)
    inverse = np.array([1 / np.sqrt(variance[0]), 1 / np.sqrt(variance[1]), 0])
    return np.concatenate([mean, inverse, [clips]])


@pytest.mark.parametrize("clips", [1, 2, 20])
def test_a_profile_is_shrunk_to_what_all_have_in_common_the_more_the_fewer_clips(
    adaptation: SpeakerAdaptation, clips: int
) -> None:
    values = [np.column_stack([RNG.normal(9, 4, 4), RNG.normal(2, 1, 4), np.full(4, 3.0)]) for _ in range(clips)]
    profile = adaptation.profile(summed(values))
    assert profile.dtype == np.float32
    np.testing.assert_allclose(profile, by_hand(np.concatenate(values), clips), rtol=1e-5)


def test_of_a_stranger_a_profile_is_zeros(adaptation: SpeakerAdaptation) -> None:
    assert adaptation.num_columns == 7
    assert adaptation.profile(None).tolist() == [0] * 7


def test_clips_add_up_however_they_come() -> None:
    parts = [summed([clip]) for clip in CLIPS["zoe"]]
    whole = summed(CLIPS["zoe"])
    added = sum(parts[1:], parts[0])
    assert (added.clips, whole.clips) == (6, 6)
    for one, other in ((added.weight, whole.weight), (added.total, whole.total), (added.squares, whole.squares)):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    np.testing.assert_allclose(whole.mean, np.concatenate(CLIPS["zoe"]).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(whole.variance, np.concatenate(CLIPS["zoe"]).var(axis=0), rtol=1e-4, atol=1e-6)
    assert together(None, None) is None
    assert together(parts[0], None) is parts[0] is together(None, parts[0])
    both = together(parts[0], parts[1])
    assert both is not None
    assert both.clips == 2


def test_saved_and_read_each_speaker_has_its_own_sums(adaptation: SpeakerAdaptation, tmp_path: Path) -> None:
    adaptation.save(tmp_path / "speakers.npz")
    read = SpeakerAdaptation.load(tmp_path / "speakers.npz")
    assert set(read.known) == {"ann", "mia", "zoe"}
    for name, clips in CLIPS.items():
        expected = summed(clips)
        assert read.known[name].clips == len(clips)
        np.testing.assert_allclose(read.known[name].total, expected.total)
        np.testing.assert_allclose(read.known[name].squares, expected.squares)
        np.testing.assert_array_equal(read.known[name].weight, expected.weight)
    for name in ("mean", "deviation", "per_clip", "prior_clips"):
        np.testing.assert_array_equal(getattr(read, name), getattr(adaptation, name))
    assert read.per_clip.tolist() == [4, 4, 4]


def test_what_tells_speakers_apart_is_believed_sooner(adaptation: SpeakerAdaptation) -> None:
    between, alike, constant = adaptation.prior_clips
    assert (between, constant) == (0.5, 2.0)
    assert alike == pytest.approx(prior_by_hand(1))
    assert alike > 2
    told = adaptation.profile(summed([np.tile([9.0, 9.0, 9.0], (4, 1))]))
    assert told[0] - adaptation.mean[0] == pytest.approx((9 - adaptation.mean[0]) / 1.5)
    assert told[2] - adaptation.mean[2] == pytest.approx((9 - adaptation.mean[2]) / 3)


@pytest.mark.parametrize("speakers", [["a"], ["a", "b"]], ids=["one speaker", "a clip each"])
def test_where_nothing_tells_a_mean_is_worth_two_clips(speakers: list[str]) -> None:
    clips = [(speaker, summed([RNG.standard_normal((4, 3))])) for speaker in speakers]
    assert SpeakerAdaptation.fit(clips).prior_clips.tolist() == [2, 2, 2]


def test_a_model_of_before_shrinks_all_features_by_two_clips(adaptation: SpeakerAdaptation, tmp_path: Path) -> None:
    adaptation.save(tmp_path / "speakers.npz")
    arrays = load_arrays(tmp_path / "speakers.npz")
    del arrays["prior_clips"]
    assert SpeakerAdaptation.from_arrays(arrays, "here").prior_clips.tolist() == [2, 2, 2]
    with pytest.raises(DamagedError, match="prior_clips that are not negative"):
        SpeakerAdaptation.from_arrays({**arrays, "prior_clips": np.array([1.0, -1.0, 1.0])}, "here")


@pytest.mark.parametrize("clips", [0, -1, 1_000_000_001])
def test_sums_over_no_possible_number_of_clips_are_refused(
    adaptation: SpeakerAdaptation, tmp_path: Path, clips: int
) -> None:
    arrays = adaptation.known["ann"].arrays() | {"clips": np.array(clips)}
    with pytest.raises(ValueError, match="sums over 1 to 1000000000 clips"):
        SpeakerStatistics.from_arrays(arrays)
    broken = SpeakerAdaptation(
        adaptation.mean,
        adaptation.deviation,
        adaptation.per_clip,
        adaptation.prior_clips,
        {"ann": SpeakerStatistics(clips, *[adaptation.mean] * 3)},
    )
    broken.save(tmp_path / "speakers.npz")
    with pytest.raises(DamagedError, match="speakers.npz has no statistics of speakers"):
        SpeakerAdaptation.load(tmp_path / "speakers.npz")


def test_rows_are_told_of_their_own_speakers(adaptation: SpeakerAdaptation) -> None:
    rows = RNG.standard_normal((4, 3)).astype(np.float32)
    speakers = known_speakers(adaptation, ["zoe", "nobody", "ann", "zoe"])
    told = with_profiles(rows, adaptation, speakers)
    np.testing.assert_array_equal(told[:, :3], rows)
    expected = [adaptation.known["zoe"], None, adaptation.known["ann"], adaptation.known["zoe"]]
    for row, speaker in zip(told, expected, strict=True):
        np.testing.assert_array_equal(row[3:], adaptation.profile(speaker))
    one_for_all = with_profiles(rows, adaptation, [adaptation.known["ann"]])
    np.testing.assert_array_equal(one_for_all[:, 3:], np.tile(adaptation.profile(adaptation.known["ann"]), (4, 1)))
    assert with_profiles(rows, None, known_speakers(None, ["zoe"] * 4)) is rows
