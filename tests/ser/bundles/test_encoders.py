"""A model in an object store has its encoder beside it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.encoders import FOLDER, bring_encoders, encoders_of, keep_encoders
from ser.bundles.manifest import Manifest
from ser.config import parse
from ser.encoders import ENCODERS, MissingEncoderError, load_encoder
from ser.encoders.catalogue import OnnxRecord
from ser.encoders.storage import check_encoder, encoder_folder, install_network, is_here, remove_encoder
from ser.errors import DamagedError
from ser.predictor import Predictor
from ser.request import TrainRequest
from ser.storage.stores import Store
from ser.trainer import run
from tests.object_store import s3_bucket, s3_endpoint
from tests.signals import tone, wav
from tests.tiny_onnx import tiny_encoder

__all__ = ["s3_bucket", "s3_endpoint"]

RECORD = ENCODERS["whisper-base"]
NETWORK = "encoder.tflite"


@pytest.fixture
def manifest(bundle: Bundle) -> Manifest:
    """Of a model behind an encoder."""
    return bundle.manifest.model_copy(update={"features": {"dataset_feature_extract_methods": {"SpeechEncoder": {}}}})


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of encoders with a copy of the one that is here."""
    shutil.copytree(encoder_folder(RECORD), tmp_path / "encoders" / RECORD.identity)
    monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / "encoders"))
    return tmp_path / "encoders"


def test_what_was_kept_is_brought_to_a_machine_that_lacks_it(manifest: Manifest, s3_bucket: str) -> None:
    keep_encoders(f"{s3_bucket}/models", manifest)
    kept = Store(f"{s3_bucket}/models/{FOLDER}/{RECORD.identity}")
    assert kept.files() == [NETWORK]
    remove_encoder(RECORD)
    keep_encoders(f"{s3_bucket}/models", manifest)  # it is there, whoever publishes next need not have it
    bring_encoders(f"{s3_bucket}/models/", manifest)
    assert check_encoder(RECORD).read_bytes() == kept.read(NETWORK)


def test_one_that_the_store_lacks_is_missed_where_it_is_wanted(manifest: Manifest, s3_bucket: str) -> None:
    remove_encoder(RECORD)
    bring_encoders(f"{s3_bucket}/models", manifest)
    assert not is_here(RECORD)
    with pytest.raises(MissingEncoderError, match="ser encoder fetch whisper-base"):
        keep_encoders(f"{s3_bucket}/models", manifest)


def test_what_was_held_out_is_judged_without_the_encoder(tmp_path: Path) -> None:
    """As by the step that evaluates, whose container has none."""
    places = {"data_path": str(tmp_path / "data"), "model_save_path": str(tmp_path / "models")}
    order = {"remote_url": "embedded:?clips=14", "model_type": "EncoderClassifier", "dataset_virtual_speakers": 0}
    model_id = run(parse(TrainRequest, {**places, **order})).model_id
    sample = Predictor(tmp_path / "models", model_id).bundle.manifest.validation_samples[0]
    expected = Predictor(tmp_path / "models", model_id).predict_sample(sample)
    remove_encoder(RECORD)
    load_encoder.cache_clear()  # as a process that comes later
    predictor = Predictor(tmp_path / "models", model_id)
    assert predictor.predict_sample(sample) == expected
    with pytest.raises(MissingEncoderError, match="ser encoder fetch whisper-base"):
        predictor.predict(wav(tone(1.0)))


def test_an_onnx_file_of_the_user_s_is_kept_and_brought_too(bundle: Bundle, s3_bucket: str) -> None:
    content = tiny_encoder()
    record = OnnxRecord.of(hashlib.sha256(content).hexdigest())
    methods = {"dataset_feature_extract_methods": {"SpeechEncoder": {"weights": record.name, "outputs": [1]}}}
    manifest = bundle.manifest.model_copy(update={"features": methods})
    install_network(record, content, "mine.onnx")
    keep_encoders(f"{s3_bucket}/mine", manifest)
    remove_encoder(record)
    bring_encoders(f"{s3_bucket}/mine", manifest)
    assert check_encoder(record).read_bytes() == content


def test_something_else_in_its_place_is_not_kept(manifest: Manifest, s3_bucket: str) -> None:
    remove_encoder(RECORD)
    Store(f"{s3_bucket}/models/{FOLDER}/{RECORD.identity}").write(NETWORK, b"something else")
    with pytest.raises(DamagedError, match=f"{NETWORK}: expected the network of whisper-base"):
        bring_encoders(f"{s3_bucket}/models", manifest)
    assert not is_here(RECORD)


@pytest.mark.parametrize(
    "kept", [{}, {"dataset_feature_extract_methods": 3}, {"dataset_feature_extract_methods": {"Gone": {}}}]
)
def test_features_that_have_none_or_are_not_known_want_none(bundle: Bundle, kept: dict[str, object]) -> None:
    assert encoders_of(bundle.manifest) == ()
    assert encoders_of(bundle.manifest.model_copy(update={"features": kept})) == ()


def test_a_model_that_was_published_predicts_on_a_machine_that_never_had_its_encoder(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {
        "data_path": str(tmp_path / "data"), "remote_url": "embedded:?clips=30", "model_type": "EncoderClassifier",
        "model_save_path": s3_bucket, "dataset_virtual_speakers": 1,
    }  # fmt: skip
    model_id = run(parse(TrainRequest, request)).model_id
    here = Predictor(s3_bucket, model_id).predict(wav(tone()))

    def elsewhere(name: str) -> None:
        monkeypatch.setenv("SER_ENCODER_ROOT", str(tmp_path / name / "encoders"))
        monkeypatch.setenv("SER_CACHE_ROOT", str(tmp_path / name / "cache"))
        load_encoder.cache_clear()

    elsewhere("one")
    assert Predictor(s3_bucket, model_id).predict(wav(tone())).probabilities == here.probabilities
    Store(f"{s3_bucket}/{FOLDER}/{RECORD.identity}").remove(NETWORK)
    elsewhere("two")
    with pytest.raises(MissingEncoderError, match="ser encoder fetch whisper-base"):
        Predictor(s3_bucket, model_id).predict(wav(tone()))
