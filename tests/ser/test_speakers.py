"""Profiles by hand, and whose they are."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest

from ser.speakers import (
    SpeakerAdaptation,
    SpeakerStatistics,
    known_speakers,
    statistics_of,
    together,
    with_profiles,
)


def spoken(*values: float) -> SpeakerStatistics:
    """Clips of one value each, beside a feature that is always 5."""
    clips = [np.array([[value, 5]], dtype=np.float32) for value in values]
    return reduce(add, (SpeakerStatistics(1, *statistics_of([clip])) for clip in clips))


# Written down in an order that is not the alphabet's.
KNOWN = {"zoe": spoken(1, 3), "ada": spoken(7, 9, 11, 13)}
ADAPTATION = SpeakerAdaptation.fit(KNOWN)


def test_what_all_speakers_have_in_common_is_the_mean_of_clips_and_the_mean_variance_of_speakers() -> None:
    assert ADAPTATION.mean == pytest.approx([44 / 6, 5])
    assert ADAPTATION.deviation == pytest.approx([np.sqrt((1 + 5) / 2), 0])
    assert ADAPTATION.per_clip.tolist() == [1, 1]
    assert ADAPTATION.num_columns == 5


def test_a_profile_is_the_one_computed_on_paper() -> None:
    # Two clips weigh as two clips of all for the mean: (20 + 22 + 2 * 44 / 6) / (2 + 2). For the deviation, ten of all.
    mean = (42 + 2 * 44 / 6) / 4
    variance = ((20 - mean) ** 2 + (22 - mean) ** 2 + 10 * 3) / 12
    assert ADAPTATION.profile(spoken(20, 22)) == pytest.approx([mean, 5, 1 / np.sqrt(variance), 0, 2], rel=1e-6)
    assert mean == pytest.approx(14.1667, abs=1e-4)
    assert variance == pytest.approx(10.4491, abs=1e-4)


def test_of_a_stranger_it_is_zeros_and_of_many_clips_their_own_mean_and_deviation() -> None:
    assert ADAPTATION.profile(None).tolist() == [0] * 5
    many = ADAPTATION.profile(spoken(*[20, 24] * 20_000))
    assert many == pytest.approx([22, 5, 0.5, 0, 40_000], rel=1e-3)


def test_frames_count_as_the_clips_that_they_are_of() -> None:
    # Ten frames a clip: what is known of all weighs as much as two clips, that is twenty frames.
    frames = [np.full((10, 1), value, dtype=np.float32) for value in (0, 1, 4)]
    known = [SpeakerStatistics(1, *statistics_of([part])) for part in frames]
    adaptation = SpeakerAdaptation.fit({"a": known[0] + known[1]})
    assert adaptation.profile(known[2])[0] == pytest.approx((40 + 20 * 0.5) / 30)


def test_a_kept_file_gives_each_speaker_the_own_sums(tmp_path: Path) -> None:
    ADAPTATION.save(tmp_path / "speakers.npz")
    again = SpeakerAdaptation.load(tmp_path / "speakers.npz")
    assert set(again.known) == set(KNOWN)
    for name, total, clips in (("zoe", 4, 2), ("ada", 40, 4)):
        assert again.known[name].clips == clips
        assert again.known[name].total.tolist() == [total, 5 * clips]
        np.testing.assert_array_equal(again.profile(again.known[name]), ADAPTATION.profile(KNOWN[name]))
    for field in ("mean", "deviation", "per_clip"):
        np.testing.assert_array_equal(getattr(again, field), getattr(ADAPTATION, field))


def test_rows_get_the_profile_of_who_speaks_them() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    told = known_speakers(ADAPTATION, ("ada", "nobody", "zoe"))
    read = with_profiles(rows, ADAPTATION, told)
    np.testing.assert_array_equal(read[:, :2], rows)
    assert read[:, -1].tolist() == [4, 0, 2]
    np.testing.assert_array_equal(read[2, 2:], ADAPTATION.profile(KNOWN["zoe"]))
    assert with_profiles(rows, ADAPTATION, (KNOWN["ada"],))[:, -1].tolist() == [4, 4, 4]
    assert with_profiles(rows, None, (None,)) is rows


def test_what_is_known_from_two_sides_is_added() -> None:
    one, other = spoken(1, 2), spoken(10)
    both = together(one, other)
    assert (both.clips, both.total[0], both.squares[0], both.weight[0]) == (3, 13, 105, 3)
    assert together(one, None) is one
    assert together(None, other) is other
    assert together(None, None) is None
