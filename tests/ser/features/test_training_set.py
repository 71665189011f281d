from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from ser.errors import DamagedError
from ser.features.training_set import TrainingRows
from ser.storage.row_file import RowFile

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(50, 7)).astype(np.float32)
VIRTUAL = RNG.normal(size=(50, 3, 7)).astype(np.float32)
INDEX = np.flatnonzero(RNG.random(50) < 0.8)


def mapped(path: Path, array: np.ndarray) -> np.ndarray:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def test_rows_are_the_same_in_memory_and_in_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = TrainingRows(ROWS, INDEX, VIRTUAL)
    monkeypatch.setattr("ser.features.training_set.COPIED_BYTES", 0)
    stored = TrainingRows(mapped(tmp_path / "rows.npy", ROWS), INDEX, mapped(tmp_path / "virtual.npy", VIRTUAL))
    assert isinstance(stored._rows, RowFile)
    assert isinstance(stored._virtual, RowFile)
    assert held.shape == stored.shape == (4 * len(INDEX), 7)
    expected = np.concatenate([ROWS[INDEX], *(VIRTUAL[INDEX, voice] for voice in range(3))])
    for numbers in (np.arange(len(held)), RNG.permutation(len(held)), np.array([-1, 0, 0, 5]), np.array([], dtype=int)):
        np.testing.assert_array_equal(held[numbers], expected[numbers])
        np.testing.assert_array_equal(stored[numbers], expected[numbers])


def test_a_file_that_became_shorter_is_named_and_none_stays_open(tmp_path: Path) -> None:
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    rows = RowFile(mapped(tmp_path / "rows.npy", ROWS))
    os.truncate(tmp_path / "rows.npy", 1_000)
    np.testing.assert_array_equal(rows[np.array([0, 1, 9])], ROWS[[0, 1, 9]])
    with pytest.raises(DamagedError, match=r"rows\.npy is shorter than what was written there"):
        rows[np.array([0, 49])]
    del rows
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
