from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.errors import DamagedError
from ser.features.feature_set import FeatureSet, Sample


def sample(name: str, emotion: str, pieces: int) -> Sample:
    return Sample(name, "03", "male", "a01", emotion, pieces / 2, pieces)


SAMPLES = (sample("a", "joy", 2), sample("b", "anger", 1), sample("c", "joy", 3))
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
SET = FeatureSet(ROWS, SAMPLES)


def test_labels_follow_the_rows() -> None:
    assert SET.classes == ("anger", "joy")
    assert SET.labels(SET.classes).tolist() == [1, 1, 0, 1, 1, 1]


def test_selected_samples_keep_their_rows_and_order() -> None:
    chosen = SET.select(["c", "a"])
    assert [one.name for one in chosen.samples] == ["a", "c"]
    np.testing.assert_array_equal(chosen.rows, ROWS[[0, 1, 3, 4, 5]])
    assert SET.select([]).rows.shape == (0, 2)


def test_a_sample_s_value_is_the_mean_of_its_pieces() -> None:
    np.testing.assert_allclose(SET.average(ROWS), [[1, 2], [4, 5], [8, 9]])


def test_rows_and_samples_must_fit() -> None:
    with pytest.raises(ValueError, match=r"expected 6 rows for 3 samples, got \(5, 2\)"):
        FeatureSet(ROWS[:5], SAMPLES)


@pytest.mark.parametrize("shape", [(5, 2, 2), (6, 2, 3), (2, 6, 2)], ids=["a row less", "wider", "by voices"])
def test_rows_of_virtual_speakers_fit_those_of_the_recordings(shape: tuple[int, ...]) -> None:
    assert FeatureSet(ROWS, SAMPLES, np.zeros((6, 3, 2), np.float32)).virtual is not None
    with pytest.raises(ValueError, match=r"expected \(6, 2\) of each virtual speaker, got \("):
        FeatureSet(ROWS, SAMPLES, np.zeros(shape, np.float32))


def test_a_saved_set_is_the_same(tmp_path: Path) -> None:
    SET.save(tmp_path / "set.npz")
    again = FeatureSet.load(tmp_path / "set.npz")
    assert again.samples == SAMPLES
    np.testing.assert_array_equal(again.rows, ROWS)


def test_another_file_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", rows=ROWS)
    with pytest.raises(DamagedError, match=r"set\.npz lacks 'name'"):
        FeatureSet.load(tmp_path / "set.npz")
