"""`Predictor` as a person uses it: without an id, on whatever they have, and what it says of itself."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ser
from ser.bundles.bundle import Bundle
from ser.errors import AudioError, ConfigError, LimitError, NotFoundError
from ser.predictor import UNCERTAIN, Predictor
from tests.forgery import forge_manifest
from tests.signals import tone, wav

SAMPLES = tone(2.0, hertz=220)


@pytest.fixture
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle.folder.parent, bundle.folder.name)


def test_samples_files_and_bytes_of_one_recording_have_one_answer(predictor: Predictor, tmp_path: Path) -> None:
    content = wav(SAMPLES, subtype="FLOAT")
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    expected = predictor.predict(content).probabilities
    with path.open("rb") as opened:
        given = [
            path,
            str(path),
            opened,
            io.BytesIO(content),
            bytearray(content),
            (SAMPLES, 16_000),
            (SAMPLES.astype(np.float64), 16_000.0),
        ]
        for one in given:
            assert predictor.predict(one).probabilities == expected
        opened.seek(0)
        assert predictor.predict(opened).sample_name == "clip.wav"
    assert predictor.predict(SAMPLES, sample_rate_hz=16_000).probabilities == expected
    assert predictor.predict(SAMPLES, sample_rate_hz=8_000).pieces[-1].end_seconds == 4.0
    assert predictor.predict(path).sample_name == "clip.wav"
    assert predictor.predict((SAMPLES, 16_000)).sample_name == "audio"
    assert predictor.predict((SAMPLES, 16_000), name="mine").sample_name == "mine"


def test_samples_of_other_kinds_rates_and_channels_are_as_their_file_is(predictor: Predictor) -> None:
    whole = np.round(SAMPLES * 32_767).astype(np.int16)
    assert predictor.predict((whole, 16_000)).probabilities == predictor.predict(wav(whole / 32_768)).probabilities
    wide = (whole.astype(np.int32) << 16, 16_000)
    assert predictor.predict(wide).probabilities == predictor.predict((whole, 16_000)).probabilities
    fast = tone(1.0, 44_100, hertz=220)
    both = np.stack([fast, np.zeros_like(fast)], axis=1)
    for samples in (fast, both):
        told = predictor.predict((samples, 44_100)).probabilities
        assert told == predictor.predict(wav(samples, 44_100, subtype="FLOAT")).probabilities


@pytest.mark.parametrize(
    ("samples", "rate", "error", "says"),
    [
        (
            np.zeros((2, 3, 4), np.float32),
            16_000,
            AudioError,
            r"shape \(n,\) or \(n, channels\).* got float32 of shape",
        ),
        (np.zeros((9, 0), np.float32), 16_000, AudioError, r"got float32 of shape \(9, 0\)"),
        (np.zeros(9, np.uint8), 16_000, AudioError, "whole numbers of 16 or 32 bits, got uint8"),
        (np.array(["a"]), 16_000, AudioError, "got <U1"),
        (SAMPLES, 16_000.5, AudioError, "expected a whole number of samples a second, got 16000.5"),
        (SAMPLES, np.nan, AudioError, "expected a whole number of samples a second, got nan"),
        (SAMPLES, np.inf, AudioError, "expected a whole number of samples a second, got inf"),
        (SAMPLES, 10, AudioError, "expected a sampling rate of 1000 to 768000 Hz, got 10 Hz"),
        (np.full(900, np.nan), 16_000, AudioError, "expected finite samples"),
        (np.zeros(900), 16_000, AudioError, "expected speech, got silence"),
        (np.zeros(0), 16_000, AudioError, "without any samples"),
        (SAMPLES, 1_000, LimitError, "expected at most 5 s, got 32.0 s"),
    ],
)
def test_samples_that_are_no_recording_are_refused(
    predictor: Predictor, samples: np.ndarray, rate: float, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=f"^mine: .*{says}"):
        predictor.predict((samples, rate), name="mine", max_seconds=5)


def test_what_is_no_recording_is_told(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("RIFF")
    with (
        path.open() as opened,
        pytest.raises(AudioError, match=r"^text.wav: expected a file of bytes, .* got one of text"),
    ):
        predictor.predict(opened)
    for wrong, told in ((None, "NoneType"), (3, "int"), ([SAMPLES, 16_000, 1], "list"), ((SAMPLES,), "tuple")):
        with pytest.raises(AudioError, match=f"^audio: expected a path, bytes, an open file, .*, got {told}"):
            predictor.predict(wrong)
    with pytest.raises(ConfigError, match="^sample_rate_hz: expected the rate of the samples, got none"):
        predictor.predict(SAMPLES)
    for file in (path, wav(SAMPLES), (SAMPLES, 16_000)):
        with pytest.raises(ConfigError, match="^sample_rate_hz: expected with samples alone"):
            predictor.predict(file, sample_rate_hz=16_000)


def test_predictions_are_plain_python_and_a_data_frame(predictor: Predictor, bundle: Bundle) -> None:
    held_out = bundle.manifest.validation_samples[0]
    known, unknown = predictor.predict_sample(held_out), predictor.predict((SAMPLES, 16_000), name="a.wav")
    assert json.loads(json.dumps(unknown.to_dict())) == {
        "sample_name": "a.wav", "prediction": unknown.prediction, "probabilities": unknown.probabilities,
        "pieces": [asdict(piece) for piece in unknown.pieces], "unknown": list(unknown.unknown),
    }  # fmt: skip
    other = replace(unknown, probabilities={"relief": 1.0}, speaker_clips=2)
    frame = ser.to_data_frame([known, unknown, other])
    labels = [f"probability_{label}" for label in predictor.classes]
    assert list(frame.columns) == [
        "sample_name", "prediction", *labels, "ground_truth", "probability_relief", "speaker_clips"
    ]  # fmt: skip
    assert list(frame.sample_name) == [held_out, "a.wav", "a.wav"]
    assert list(frame.prediction) == [known.prediction, unknown.prediction, unknown.prediction]
    assert frame.loc[1, labels].tolist() == list(unknown.probabilities.values())
    assert frame.loc[2, labels].isna().all()
    assert (frame.loc[0, "ground_truth"], frame.loc[2, "speaker_clips"]) == (known.ground_truth, 2)
    assert list(ser.to_data_frame([unknown]).columns) == ["sample_name", "prediction", *labels]
    assert list(ser.to_data_frame([]).columns) == ["sample_name", "prediction"]


def made_on(name: str, day: str, content: dict[str, Any]) -> None:
    content.update(model_id=name, created=f"2026-01-{day}T12:00:00+00:00")


def test_without_an_id_the_model_that_was_made_last_answers(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no model in .*models; train one"):
        Predictor(tmp_path / "models")
    for name, day in (("b", "02"), ("c", "03"), ("a", "01")):
        folder = tmp_path / "models" / f"KerasClassifier-{name * 12}"
        shutil.copytree(bundle.folder, folder)
        forge_manifest(folder, partial(made_on, folder.name, day))
    assert Predictor(tmp_path / "models").model_id == f"KerasClassifier-{'c' * 12}"
    (tmp_path / "models" / f"KerasClassifier-{'c' * 12}" / "manifest.json").write_text("{")
    assert Predictor(os.fspath(tmp_path / "models")).model_id == f"KerasClassifier-{'b' * 12}"


def test_what_they_say_of_themselves(predictor: Predictor, tmp_path: Path) -> None:
    classes = predictor.classes
    folder = predictor.bundle.folder
    assert repr(predictor.bundle) == f"Bundle({str(folder)!r}: {', '.join(classes)})"
    assert repr(predictor) == f"Predictor({predictor.model_id!r}: {', '.join(classes)})"
    prediction = predictor.predict((SAMPLES, 16_000), name="a.wav")
    first, second = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
    said = f"Prediction('a.wav': {first[0]} {first[1]:.2f}, {second[0]} {second[1]:.2f}"
    assert repr(prediction) == f"{said})"
    unsure = prediction.or_uncertain(1.0)
    assert unsure.prediction == UNCERTAIN
    assert repr(unsure) == f"{said}, uncertain)"
    dataset = ser.Dataset(tmp_path, "https://user:secret@example.org/emodb.zip?token=secret")
    assert repr(dataset) == f"Dataset('https://example.org/emodb.zip', in {str(tmp_path)!r})"


def test_what_a_person_finds_in_the_package() -> None:
    assert dir(ser) == sorted(ser.__all__)
    assert {"Dataset", "Trainer", "Predictor", "run"} <= set(dir(ser))
    assert all(getattr(ser, name) is not None for name in dir(ser))


def test_a_dataset_has_a_length_and_gives_its_clips(dataset: ser.Dataset) -> None:
    clips = list(dataset)
    assert len(clips) == len(dataset) == len(dataset.prepare().clips) > 0
    named = {clip.name: samples for clip, samples in dataset.load()}
    for clip, samples in clips:
        np.testing.assert_array_equal(samples, named[clip.name])
