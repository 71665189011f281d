from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ser.bundles.bundle import Bundle, check_judgements
from ser.bundles.judgements import Judgements
from ser.bundles.manifest import FILES, FRONTEND, MANIFEST, SPEAKERS, TFLITE, VALIDATION, Manifest
from ser.bundles.model_store import find_bundle, list_models, save_bundle
from ser.dataset import Dataset
from ser.errors import ConfigError, DamagedError, NotFoundError
from ser.features.feature_set import FeatureSet
from ser.predictor import Predictor
from ser.steps.feature_extraction import load_features
from tests.signals import CLIPS, tone, wav


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(bundle.folder, tmp_path / bundle.folder.name))


def test_a_bundle_holds_all_that_the_design_names(bundle: Bundle) -> None:
    names = {path.name for path in bundle.folder.iterdir() if not path.name.startswith(".")}
    assert names == {*FILES, "manifest.json", "report", "stamp.json"}
    manifest = bundle.manifest
    assert manifest.model_id == bundle.folder.name
    assert (manifest.corpus, manifest.source) == ("EmoDB", "corpus.zip")
    assert manifest.training_samples + len(manifest.validation_samples) == CLIPS
    assert set(manifest.metrics) == {"accuracy", "uar", "macro_f1", "chance"}
    assert {len(curve) for curve in manifest.history.values()} == {8}
    assert (bundle.report / "report.html").is_file()


@pytest.fixture
def adaptive_copy(adaptive: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adaptive.folder, tmp_path / "adaptive" / adaptive.manifest.model_id))


@pytest.mark.parametrize("name", [*FILES, SPEAKERS])
def test_a_missing_file_is_named(adaptive_copy: Path, name: str) -> None:
    (adaptive_copy / name).unlink()
    with pytest.raises(DamagedError, match=f"{name} is missing"):
        Bundle(adaptive_copy)


@pytest.mark.parametrize("name", [*FILES, SPEAKERS])
def test_an_altered_file_is_named(adaptive_copy: Path, name: str) -> None:
    data = bytearray((adaptive_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (adaptive_copy / name).write_bytes(data)
    with pytest.raises(DamagedError, match=f"{name} was altered"):
        Bundle(adaptive_copy)


@pytest.mark.parametrize("name", [FRONTEND, TFLITE, VALIDATION, SPEAKERS])
def test_a_file_that_is_altered_once_the_model_is_open_is_named_where_it_is_read(
    adaptive_copy: Path, name: str
) -> None:
    bundle = Bundle(adaptive_copy)
    (adaptive_copy / name).write_bytes((adaptive_copy / name).read_bytes() + b"x")
    with pytest.raises(DamagedError, match=f"{name} was altered"):
        _ = bundle.frontend, bundle.model, bundle.validation, bundle.adaptation


def test_an_altered_manifest_is_told(copy: Path) -> None:
    path = copy / "manifest.json"
    content = json.loads(path.read_text())
    content["metrics"]["uar"] = 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedError, match=r"manifest\.json was altered"):
        Manifest.load(copy)
    path.write_text("{}")
    with pytest.raises(DamagedError, match=r"manifest\.json was altered"):
        Manifest.load(copy)
    path.unlink()
    with pytest.raises(DamagedError, match=r"manifest\.json is missing"):
        Manifest.load(copy)


def test_a_training_is_told_by_sixteen_digits_of_its_manifest(bundle: Bundle) -> None:
    content = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    assert bundle.manifest.training == content["digest"][:16]  # the folder of those who enrolled is called by it


def test_a_copy_that_differs_from_what_was_checked_is_not_saved(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_file = shutil.copyfile

    def flipping(source: Path, target: Path, **options: bool) -> None:  # as a disk that fails
        copy_file(source, target, **options)
        if target.name == TFLITE:
            content = bytearray(target.read_bytes())
            content[len(content) // 2] ^= 1
            target.write_bytes(content)

    monkeypatch.setattr(shutil, "copyfile", flipping)
    with pytest.raises(DamagedError, match=TFLITE):
        save_bundle(bundle.folder, None, tmp_path / "models")
    assert list_models(tmp_path / "models") == []
    monkeypatch.undo()
    save_bundle(bundle.folder, None, tmp_path / "models")
    assert list_models(tmp_path / "models") == [bundle.manifest.model_id]


def test_models_are_found_by_name_only(bundle: Bundle) -> None:
    store = bundle.folder.parent
    assert list_models(store) == [bundle.folder.name]
    assert find_bundle(store, bundle.folder.name) == bundle.folder
    with pytest.raises(NotFoundError, match=f"no model 'other' in .*; there is: {bundle.folder.name}"):
        find_bundle(store, "other")
    for path in ("../x", "/etc", "a/b", "", ".", ".."):
        with pytest.raises(ConfigError, match="model_id: expected a name, not a path"):
            find_bundle(store, path)


def test_the_held_out_samples_travel_with_the_model(bundle: Bundle, features: Path) -> None:
    held_out = load_features(features).select(bundle.manifest.validation_samples)
    assert bundle.validation.samples == held_out.samples
    np.testing.assert_array_equal(bundle.validation.rows, held_out.rows)


def test_the_standardiser_was_fitted_on_the_training_side_only(bundle: Bundle, features: Path) -> None:
    everything = load_features(features)
    training = everything.select({s.name for s in everything.samples} - set(bundle.manifest.validation_samples))
    np.testing.assert_allclose(
        bundle.standardiser.mean, training.rows.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-4
    )
    standardised = bundle.standardiser(np.asarray(everything.rows))
    assert np.abs(standardised.mean(axis=0)).max() > 1e-3  # not of all files: those would have mean zero


def test_served_and_keras_probabilities_agree(bundle: Bundle) -> None:
    import keras

    model = keras.saving.load_model(bundle.folder / "model.keras")
    validation: FeatureSet = bundle.validation
    rows = bundle.standardiser(validation.rows)
    theirs = np.asarray(model(rows, training=False))
    np.testing.assert_allclose(bundle.predict(validation.rows), theirs, atol=1e-4)


def test_a_sample_is_predicted_as_its_recording_is(bundle: Bundle, dataset: Dataset) -> None:
    predictor = Predictor(bundle.folder.parent, bundle.folder.name)
    clips = {clip.name: clip for clip in dataset.prepare().clips}
    for name in predictor.bundle.manifest.validation_samples:
        by_name = predictor.predict_sample(name)
        by_audio = predictor.predict(dataset.extract() / clips[name].path, about=clips[name].about)
        assert len(by_audio.pieces) == len(by_name.pieces)
        assert by_name.ground_truth == clips[name].emotion
        # Not to the last bit: a matrix product of other rows besides rounds otherwise.
        assert by_name.probabilities == pytest.approx(by_audio.probabilities, abs=1e-5)
        assert sum(by_name.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert by_name.probabilities[by_name.prediction] == max(by_name.probabilities.values())


def test_pieces_cover_the_recording(bundle: Bundle) -> None:
    predictor = Predictor(bundle.folder.parent, bundle.folder.name)
    prediction = predictor.predict(wav(tone(5.0)), name="tone")
    assert prediction.pieces[0].start_seconds == 0
    assert prediction.pieces[-1].end_seconds == 5.0
    for before, after in zip(prediction.pieces, prediction.pieces[1:], strict=False):
        assert before.end_seconds == after.start_seconds
    assert "ground_truth" not in prediction.to_dict()


def test_a_sample_that_was_learnt_from_is_not_among_the_validation_samples(bundle: Bundle, features: Path) -> None:
    learnt = {s.name for s in load_features(features).samples} - set(bundle.manifest.validation_samples)
    predictor = Predictor(bundle.folder.parent, bundle.folder.name)
    with pytest.raises(NotFoundError, match="sample_name: .* is not among the model's .* validation samples, as "):
        predictor.predict_sample(min(learnt))


def test_predicting_imports_neither_tensorflow_nor_librosa(bundle: Bundle, tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    clip.write_bytes(wav(tone(2.0, 22_050), 22_050))
    code = (
        "import sys, ser\n"
        f"predictor = ser.Predictor({str(bundle.folder.parent)!r}, {bundle.folder.name!r})\n"
        f"print(predictor.predict({str(clip)!r}).prediction)\n"
        f"print(predictor.predict_sample({bundle.manifest.validation_samples[0]!r}).prediction)\n"
        "print([m for m in ('tensorflow', 'keras', 'librosa', 'kfp', 'sklearn', 'numba') if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, heavy = result.stdout.splitlines()
    assert {first, second} <= set(bundle.manifest.classes)
    assert heavy == "[]"


def test_a_prediction_below_the_threshold_is_uncertain(bundle: Bundle, recording: bytes) -> None:
    predictor = Predictor(bundle.folder.parent, bundle.manifest.model_id)
    name = bundle.manifest.validation_samples[0]
    for plain, asked in (
        (predictor.predict(recording), partial(predictor.predict, recording)),
        (predictor.predict_sample(name), partial(predictor.predict_sample, name)),
    ):
        top = max(plain.probabilities.values())
        assert plain.prediction in bundle.manifest.classes
        assert asked(threshold=top) == plain  # just probable enough
        unsure = asked(threshold=min(1.0, top + 1e-9))
        assert unsure.prediction == "uncertain"
        assert unsure.probabilities == plain.probabilities
        assert unsure.ground_truth == plain.ground_truth
        for wrong in (-0.1, 1.1, float("nan")):
            with pytest.raises(ConfigError, match="threshold: expected 0 to 1, got"):
                asked(threshold=wrong)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([0.5, 0.5, 0.0], None),
        ([0.5, 0.5, 1.0], None),
        ([0.5, 0.5, 1.01], "familiarity from 0 to 1"),
        ([0.5, 0.5, -0.01], "familiarity from 0 to 1"),
        ([0.5, 0.5, np.nan], "familiarity from 0 to 1"),
        ([0.5, 0.6, 0.5], "sum to 1"),
    ],
)
def test_what_a_network_says_is_held_against_what_it_can_be(answer: list[float], says: str | None) -> None:
    judgements = Judgements.of(np.array([[0.2, 0.8, 0.3], answer], dtype=np.float32), 2)
    with nullcontext() if says is None else pytest.raises(DamagedError, match=f"here: .*{says}"):
        check_judgements(judgements, "here")
