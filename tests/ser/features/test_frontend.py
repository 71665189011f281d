from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ser.config import parse
from ser.errors import DamagedError
from ser.features import About
from ser.features.extractors.mfcc import MFCC, MFCCConfig
from ser.features.extractors.speaker_and_gender_and_text_type import SpeakerAndGenderAndTextTypeConfig
from ser.features.frontend import FrontEnd, unpack_frontend
from ser.features.standardiser import Standardiser
from ser.features.training_set import StandardisedRows, TrainingRows
from ser.storage.arrays import load_arrays

RNG = np.random.default_rng(3)
CORPUS = [About("a", "female", "t"), About("b", "male", "t")]
METHODS = {"SpeakerAndGenderAndTextType": SpeakerAndGenderAndTextTypeConfig(), "MFCC": MFCCConfig()}


def frontend(piece_samples: int = 4_000, normalize: bool = True) -> FrontEnd:
    return FrontEnd.create(piece_samples, METHODS, CORPUS, normalize=normalize)


@pytest.mark.parametrize("length", [1, 3_999, 4_000, 4_001, 12_000])
def test_pieces_put_together_are_the_recording_and_zeros(length: int) -> None:
    samples = RNG.standard_normal(length).astype(np.float32)
    pieces = frontend(normalize=False).split(samples)
    assert pieces.shape == (-(-length // 4_000), 4_000)
    joined = pieces.reshape(-1)
    np.testing.assert_array_equal(joined[:length], samples)
    assert not joined[length:].any()


def test_normalising_takes_the_recording_s_own_peak() -> None:
    samples = np.array([0.1, -0.5, 0.25], dtype=np.float32)
    np.testing.assert_allclose(frontend(3).split(samples), [[0.2, -1.0, 0.5]])
    np.testing.assert_array_equal(frontend(3).split(samples * 0), [[0, 0, 0]])


def test_a_long_recording_is_what_its_pieces_are_and_its_caller_is_asked_meanwhile() -> None:
    front = frontend(normalize=False)
    samples = RNG.standard_normal(100 * 16_000 + 5).astype(np.float32)
    asked: list[None] = []
    rows = front.transform(samples, CORPUS[0], check=lambda: asked.append(None))
    last = front.transform(samples[-4_005:], CORPUS[0])
    np.testing.assert_allclose(rows[-2:], last, atol=1e-3)
    assert len(asked) == 4

    def gone() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        front.transform(samples, CORPUS[0], check=gone)


def test_blocks_say_where_each_extractor_s_features_lie() -> None:
    front = frontend()
    samples = RNG.standard_normal(4_000).astype(np.float32)
    row = front.transform(samples, CORPUS[1])[0]
    one_hot, mfcc = front.blocks
    assert (one_hot.start, one_hot.stop, mfcc.start, mfcc.stop) == (0, 5, 5, front.num_features)
    np.testing.assert_array_equal(row[one_hot.start : one_hot.stop], [0, 1, 0, 1, 1])
    alone = MFCC.create(MFCCConfig(), []).extract(front.split(samples), [])[0]
    np.testing.assert_array_equal(row[mfcc.start : mfcc.stop].reshape(mfcc.shape), alone)


def test_a_saved_front_end_is_the_same(tmp_path: Path) -> None:
    front = frontend()
    samples = RNG.standard_normal(9_000).astype(np.float32)
    standardiser = Standardiser.fit(front.transform(samples, CORPUS[0]))
    front.save(tmp_path / "f.npz", standardiser)
    again = FrontEnd.load(tmp_path / "f.npz", front.settings())
    np.testing.assert_array_equal(again.transform(samples, CORPUS[0]), front.transform(samples, CORPUS[0]))
    _, scaling = unpack_frontend((tmp_path / "f.npz").read_bytes(), front.settings(), "f.npz")
    np.testing.assert_array_equal(scaling.mean, standardiser.mean)


def test_files_that_are_something_else_are_told(tmp_path: Path) -> None:
    front = frontend()
    front.save(tmp_path / "f.npz")
    with pytest.raises(DamagedError, match=r"f\.npz lacks 'standardiser/mean'"):
        unpack_frontend((tmp_path / "f.npz").read_bytes(), front.settings(), "f.npz")
    with pytest.raises(DamagedError, match=r"f\.npz does not fit its settings: .*Wavelets"):
        FrontEnd.load(tmp_path / "f.npz", {**front.settings(), "methods": {"Wavelets": {}}})
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DamagedError, match=r"text\.npz is not the arrays"):
        load_arrays(tmp_path / "text.npz")
    with pytest.raises(DamagedError, match=r"none\.npz is missing"):
        load_arrays(tmp_path / "none.npz")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", objects=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DamagedError, match=r"p\.npz is not the arrays that were written there"):
        load_arrays(tmp_path / "p.npz")


def test_standardised_training_rows_have_mean_zero_and_deviation_one() -> None:
    rows = (RNG.standard_normal((5_000, 3)) * [1, 100, 1e-3] + [0, 1e3, 5]).astype(np.float32)
    standardised = Standardiser.fit(rows, chunk=999)(rows)
    assert standardised.dtype == np.float32
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0, 1e4])
def test_a_column_that_did_not_vary_becomes_zero_even_for_a_new_value(constant: float) -> None:
    rows = np.full((100, 1), constant, dtype=np.float32)
    assert Standardiser.fit(rows)(np.array([[constant], [constant + 1]], dtype=np.float32)).tolist() == [
        [0],
        [0],
    ]


def test_the_front_end_s_config_comes_from_its_settings() -> None:
    settings = frontend().settings()
    assert parse(MFCCConfig, settings["methods"]["MFCC"]) == MFCCConfig()


def test_rows_that_are_read_by_blocks_are_to_the_last_bit_those_that_are_read_whole() -> None:
    rows = (RNG.standard_normal((5_000, 3)) * [1, 100, 1e-3]).astype(np.float32)
    index = np.sort(RNG.permutation(5_000)[:4_500])
    standardiser = Standardiser.fit(rows[index])
    read = StandardisedRows(TrainingRows(rows, index), standardiser)
    expected = standardiser(rows[index])
    order = RNG.permutation(4_500)
    np.testing.assert_array_equal(read[order], expected[order])


def test_a_block_of_rows_is_in_memory_once(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((20_000, 100), dtype=np.float32))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    order = RNG.permutation(20_000)
    standardised = StandardisedRows(TrainingRows(rows, np.arange(20_000)), Standardiser.fit(rows))
    tracemalloc.start()  # NumPy tells it of every array; what is mapped from a file is none
    block = standardised[order]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1.25 * block.nbytes
