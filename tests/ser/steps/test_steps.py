from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from ser.audio.virtual_speakers import virtual_speaker
from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.corpora.folder import load_manifest
from ser.dataset import Dataset
from ser.errors import ConfigError, CorpusError, DamagedError, TrainingError
from ser.networks.export import export_tflite
from ser.request import DownloadConfig, FeatureConfig, PublishConfig, TrainingConfig
from ser.steps.download import download
from ser.steps.evaluation import evaluate, publish
from ser.steps.feature_extraction import extract_features, extract_part, join_parts, load_features, load_frontend
from ser.steps.training import model_id, train
from ser.storage.stamps import STAMP
from tests.signals import CLIPS

TWO_EPOCHS = parse(TrainingConfig, {"model_type": "KerasClassifier", "model_config": {"epochs": 2}})


def test_download_makes_a_corpus_folder_that_stands_alone(corpus_zip: Path, tmp_path: Path) -> None:
    config = parse(DownloadConfig, {"data_path": str(tmp_path / "data"), "remote_url": str(corpus_zip)})
    download(config, tmp_path / "corpus")
    shutil.rmtree(tmp_path / "data")
    assert len(load_manifest(tmp_path / "corpus").clips) == CLIPS
    extract_features(tmp_path / "corpus", tmp_path / "features", FeatureConfig())
    assert len(load_features(tmp_path / "features").samples) == CLIPS


def test_each_virtual_speaker_says_each_clip(corpus_zip: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data", str(corpus_zip))
    methods = {"MFCC": {"num_cepstral": 3}}
    body = {"dataset_load_split_at": "max", "dataset_feature_extract_methods": methods, "dataset_virtual_speakers": 7}
    folder = dataset.features_of(parse(FeatureConfig, body))
    features, frontend = load_features(folder), load_frontend(folder)
    assert features.virtual is not None
    for row, (clip, samples) in zip(features.virtual, list(dataset)[:5], strict=False):
        for number, heard in enumerate(row):
            voice = virtual_speaker(samples, number, clip.name)[: frontend.piece_samples]
            np.testing.assert_allclose(heard, frontend.transform(voice, clip.about)[0], rtol=1e-4, atol=1e-3)


def test_training_twice_gives_the_same_model_bit_for_bit(features: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(features, tmp_path / name, TWO_EPOCHS)
    one, two = Bundle(tmp_path / "one"), Bundle(tmp_path / "two")
    assert one.manifest.model_id == two.manifest.model_id
    assert one.manifest.validation_samples == two.manifest.validation_samples
    assert one.manifest.history == two.manifest.history
    np.testing.assert_array_equal(one.predict(one.validation.rows), two.predict(two.validation.rows))


def test_the_model_s_name_follows_all_that_it_is_made_from(features: Path) -> None:
    changes = [
        {},
        {"random_state": 1},
        {"model_config": {"epochs": 3}},
        {"model_type": "KerasDropoutClassifier", "model_config": {"epochs": 2}},
    ]
    base = {"model_type": "KerasClassifier", "model_config": {"epochs": 2}}
    names = [model_id(features, parse(TrainingConfig, {**base, **change})) for change in changes]
    assert len(set(names)) == len(names)
    assert names[0] == model_id(features, TWO_EPOCHS)


def test_what_is_no_feature_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="is not a whole feature folder"):
        train(tmp_path, tmp_path / "model", TWO_EPOCHS)
    assert not (tmp_path / "model").exists()


def test_feature_rows_cut_short_are_found(features: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(features, tmp_path / "features"))
    rows = copy / "rows.npy"
    rows.write_bytes(rows.read_bytes()[:-8])
    with pytest.raises(DamagedError, match=r"rows\.npy was altered"):
        train(copy, tmp_path / "model", TWO_EPOCHS)
    assert not (tmp_path / "model").exists()


def test_a_class_with_one_file_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    from ser.dataset import Dataset
    from tests.signals import tone, wav

    members = {f"wav/03a01{letter}{take}.wav": wav(tone(0.5)) for letter in "WF" for take in "abc"}
    members["wav/03a01Ta.wav"] = wav(tone(0.5))
    import zipfile

    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    folder = Dataset(tmp_path / "data", str(tmp_path / "c.zip")).feature_extract()
    with pytest.raises(CorpusError, match=r"two files of each emotion, got one of 'sadness' \(03a01Ta\.wav\)"):
        train(folder, tmp_path / "model", TWO_EPOCHS)
    assert not (tmp_path / "model").exists()


def test_evaluation_from_the_bundle_and_from_the_features_agree(bundle: Bundle, features: Path, tmp_path: Path) -> None:
    of_bundle = evaluate(bundle.folder, tmp_path / "one")
    of_features = evaluate(bundle.folder, tmp_path / "two", features)
    assert of_bundle.to_dict() == of_features.to_dict()
    assert of_bundle.uar == bundle.manifest.metrics["uar"]
    assert {path.name for path in (tmp_path / "one").iterdir()} >= {"report.html", "metrics.json", "roc.png"}


def test_a_published_model_is_whole_and_has_its_report(bundle: Bundle, tmp_path: Path) -> None:
    evaluate(bundle.folder, tmp_path / "report")
    saved = publish(bundle.folder, tmp_path / "report", PublishConfig(model_save_path=str(tmp_path / "store")))
    assert saved == tmp_path / "store" / bundle.manifest.model_id
    assert Bundle(saved).manifest == bundle.manifest
    assert (saved / "report" / "report.html").is_file()
    before = (saved / STAMP).stat().st_mtime_ns
    publish(bundle.folder, tmp_path / "report", PublishConfig(model_save_path=str(tmp_path / "store")))
    assert (saved / STAMP).stat().st_mtime_ns == before


def test_a_model_below_the_gate_is_not_published(bundle: Bundle, tmp_path: Path) -> None:
    uar = evaluate(bundle.folder, tmp_path / "report").uar
    store = tmp_path / "store"
    above = PublishConfig(model_save_path=str(store), minimum_uar=min(1.0, uar + 1e-6))
    assert uar < 1
    assert publish(bundle.folder, tmp_path / "report", above) is None
    assert not store.exists()
    reached = PublishConfig(model_save_path=str(store), minimum_uar=uar)
    assert publish(bundle.folder, tmp_path / "report", reached) == store / bundle.manifest.model_id


@pytest.mark.parametrize("of", [1, 2, 3])
def test_features_in_parts_are_those_of_the_whole_byte_for_byte(
    dataset: Dataset, features: Path, tmp_path: Path, of: int
) -> None:
    config = parse(FeatureConfig, {})
    parts = [tmp_path / str(number) for number in range(of)]
    for number, part in enumerate(parts):
        extract_part(dataset.extract(), part, config, number, of)
    assert sum(len(load_features(part).samples) for part in parts) == len(load_features(features).samples)
    join_parts(parts[::-1], tmp_path / "whole")
    for name in ("rows.npy", "samples.npz", "frontend.npz", "features.json", STAMP):
        assert (tmp_path / "whole" / name).read_bytes() == (features / name).read_bytes(), name


def test_parts_that_do_not_make_a_whole_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    config, other = parse(FeatureConfig, {}), parse(FeatureConfig, {"dataset_load_split_at": 8_000})
    corpus = dataset.extract()
    for number in range(2):
        extract_part(corpus, tmp_path / str(number), config, number, 2)
    extract_part(corpus, tmp_path / "other", other, 1, 2)
    for parts in (["0"], ["0", "0"], ["0", "other"], []):
        with pytest.raises(DamagedError, match="expected every part of one corpus's features once"):
            join_parts([tmp_path / name for name in parts], tmp_path / "whole")
    for number, of in ((2, 2), (-1, 2), (0, 10_000)):
        with pytest.raises(ConfigError, match="part: expected 0 to"):
            extract_part(corpus, tmp_path / "none", config, number, of)
    assert not (tmp_path / "whole").exists()


def test_a_served_file_that_answers_otherwise_than_the_model_is_not_published(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_another(model: keras.Model, path: Path, *, int8: bool = False) -> None:
        other = keras.models.clone_model(model)  # of the same form, with weights of its own
        export_tflite(other, path, int8=int8)

    monkeypatch.setattr("ser.networks.export.export_tflite", export_another)
    with pytest.raises(TrainingError, match="the exported model does not agree with the trained one"):
        train(features, tmp_path / "model", TWO_EPOCHS)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
