"""Speakers who enrol: what is kept, where, who sees it, and what a model makes of it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path

import boto3
import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.model_store import delete_bundle, list_models, save_bundle
from ser.errors import AudioError, ConfigError, DamagedError, NotFoundError, UnsupportedError
from ser.features import About
from ser.predictor import Predictor
from ser.speakers.enrolment import KnownSpeaker
from ser.storage.stores import StoreError
from tests.object_store import s3_bucket, s3_endpoint
from tests.signals import tone, wav

__all__ = ["s3_bucket", "s3_endpoint"]

ANNA = [wav(tone(2.0, hertz=hertz)) for hertz in (210, 230, 250)]
CLIP = wav(tone(2.0, hertz=220))


@pytest.fixture
def models(adaptive: Bundle, tmp_path: Path) -> Path:
    """A folder with the model that adapts; a test may write there."""
    shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id)
    return tmp_path / "models"


@pytest.fixture
def predictor(models: Path, adaptive: Bundle) -> Predictor:
    return Predictor(models, adaptive.manifest.model_id)


def kept(models: Path, predictor: Predictor) -> Path:
    """Where a model's speakers lie."""
    return models / ".speakers" / predictor.model_id / predictor.bundle.manifest.training


def as_anna(predictor: Predictor) -> tuple[int, dict[str, float]]:
    prediction = predictor.predict(CLIP, about=About(speaker="anna"))
    return prediction.speaker_clips, prediction.probabilities


def test_a_model_adapts_to_who_enrolled_and_to_clips_that_come_along(predictor: Predictor, models: Path) -> None:
    stranger = as_anna(predictor)
    assert stranger[0] == 0
    beside = predictor.predict(CLIP, enrollment_clips=ANNA)
    assert beside.speaker_clips == beside.to_dict()["speaker_clips"] == 3
    assert not (models / ".speakers").exists()  # nothing is kept of a call
    assert predictor.enroll("anna", ANNA[:2]) == 2
    assert predictor.enroll("anna", ANNA[2:]) == 3
    clips, probabilities = as_anna(predictor)
    assert clips == 3
    assert probabilities == pytest.approx(beside.probabilities, abs=1e-6)
    assert probabilities != pytest.approx(stranger[1], abs=1e-4)
    more = predictor.predict(CLIP, about=About(speaker="anna"), enrollment_clips=ANNA[:1])
    assert more.speaker_clips == 4
    assert predictor.enroll("anna", ANNA[:1], replace=True) == 1
    assert as_anna(predictor)[0] == 1


def test_what_is_kept_is_sums_and_no_sound(predictor: Predictor, models: Path) -> None:
    predictor.enroll("anna", ANNA)
    (path,) = (path for path in (models / ".speakers").rglob("*") if path.is_file() and path.name[0] != ".")
    assert path == kept(models, predictor) / "anna.npz"
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["clips", "squares", "total", "weight"]
        assert {arrays[name].size for name in ("squares", "total", "weight")} == {
            len(predictor.bundle.adaptation.mean)  # type: ignore[union-attr]
        }
        expected = sum(predictor.listen_to([clip]).total for clip in ANNA)
        np.testing.assert_allclose(arrays["total"], expected)
    assert list_models(models) == [predictor.model_id]


def test_a_speaker_of_the_training_is_known_and_enrolled_clips_come_on_top(predictor: Predictor) -> None:
    assert predictor.bundle.adaptation is not None
    sample = predictor.bundle.validation.samples[0]
    speaker, trained = sample.speaker, predictor.bundle.adaptation.known[sample.speaker]
    assert predictor.predict(CLIP, about=About(speaker=speaker)).speaker_clips == trained.clips
    by_name = predictor.predict_sample(sample.name)
    assert predictor.enroll(speaker, ANNA) == trained.clips + 3
    assert predictor.predict(CLIP, about=About(speaker=speaker)).speaker_clips == trained.clips + 3
    assert predictor.predict_sample(sample.name) == by_name  # figures of a model stay as they are
    assert KnownSpeaker(speaker, 3, trained.clips) in predictor.speakers.list()
    predictor.speakers.delete(speaker)
    assert predictor.predict(CLIP, about=About(speaker=speaker)).speaker_clips == trained.clips


def test_speakers_are_listed_page_by_page_and_deleted(predictor: Predictor) -> None:
    for name in ("zoe", "anna", "Bert"):
        predictor.enroll(name, ANNA[:1])
    everybody = predictor.speakers.list()
    assert [one.speaker for one in everybody] == sorted(one.speaker for one in everybody)
    assert {one.speaker: one.enrolled_clips for one in everybody if not one.training_clips} == {
        "anna": 1, "Bert": 1, "zoe": 1
    }  # fmt: skip
    first = predictor.speakers.list(at_most=2)
    assert first + predictor.speakers.list(after=first[-1].speaker) == everybody
    predictor.speakers.delete("anna")
    assert as_anna(predictor)[0] == 0
    with pytest.raises(NotFoundError, match="no clips of 'anna' are enrolled"):
        predictor.speakers.delete("anna")


def test_another_predictor_sees_it_at_once(predictor: Predictor, models: Path) -> None:
    other = Predictor(models, predictor.model_id)
    assert as_anna(other)[0] == 0
    for number, clip in enumerate(ANNA, 1):
        predictor.enroll("anna", [clip])
        assert as_anna(other)[0] == number
    other.speakers.delete("anna")
    assert as_anna(predictor)[0] == 0


def _enroll(models: Path, model_id: str, times: int) -> None:
    predictor = Predictor(models, model_id)
    for _ in range(times):
        predictor.enroll("anna", [CLIP])


def test_no_clip_is_lost_when_processes_enroll_one_speaker(predictor: Predictor, models: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_enroll, args=(models, predictor.model_id, 15)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert as_anna(predictor)[0] == 45


@pytest.mark.parametrize("speaker", ["", ".", "..", "../x", "a/b", ".hidden", "a b", "é", "x" * 129, "a\n", "-x"])
def test_a_speaker_is_a_name_not_a_path(predictor: Predictor, models: Path, speaker: str) -> None:
    with pytest.raises(ConfigError, match="speaker: expected a name of up to 128"):
        predictor.enroll(speaker, ANNA)
    with pytest.raises(ConfigError, match="speaker: expected a name of up to 128"):
        predictor.speakers.delete(speaker)
    assert not (models / ".speakers" / predictor.model_id).exists()
    # Whoever predicts may say what they like.
    assert predictor.predict(CLIP, about=About(speaker=speaker)).speaker_clips == 0


def test_one_recording_that_does_not_serve_enrols_none(predictor: Predictor) -> None:
    with pytest.raises(AudioError, match=r"clips\[1\]: expected speech, got silence"):
        predictor.enroll("anna", [ANNA[0], wav(tone(1.0) * 0)])
    with pytest.raises(ConfigError, match="clips: expected at least one recording"):
        predictor.enroll("anna", [])
    assert as_anna(predictor)[0] == 0


def test_a_name_is_looked_at_before_any_recording(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^speaker: expected a name"):
        predictor.enroll("../anna", [tmp_path / "nowhere.wav"])


def test_a_model_that_does_not_adapt_refuses_clips_and_takes_a_name(bundle: Bundle) -> None:
    plain = Predictor(bundle.folder.parent, bundle.manifest.model_id)
    for refused in (
        lambda: plain.enroll("anna", ANNA),
        lambda: plain.predict(CLIP, enrollment_clips=ANNA),
        lambda: plain.speakers,
    ):
        with pytest.raises(UnsupportedError, match="does not adapt to speakers; train a model type that does"):
            refused()
    assert plain.predict(CLIP, about=About(speaker="anna")).speaker_clips == 0


def test_sums_that_do_not_fit_the_model_are_told_of(predictor: Predictor, models: Path) -> None:
    path = kept(models, predictor) / "anna.npz"
    predictor.enroll("anna", ANNA)
    whole = dict(np.load(path))
    for damaged in (
        {**whole, "total": whole["total"][1:]},
        {name: array[1:] if array.ndim else array for name, array in whole.items()},
        {**whole, "total": whole["total"] * np.nan},
        {**whole, "clips": np.array(0)},
        {"weight": whole["weight"]},
    ):
        np.savez(path, **damaged)
        with pytest.raises(DamagedError, match=r"anna\.npz"):
            as_anna(predictor)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedError, match=r"anna\.npz"):
        predictor.enroll("anna", ANNA)
    assert "anna" not in {one.speaker for one in predictor.speakers.list()}
    assert predictor.enroll("anna", ANNA, replace=True) == 3
    assert as_anna(predictor)[0] == 3


def test_a_model_takes_its_speakers_with_it(predictor: Predictor, models: Path) -> None:
    predictor.enroll("anna", ANNA)
    delete_bundle(models, predictor.model_id)
    assert [path for path in models.rglob("*") if "lock" not in path.name] == [models / ".speakers"]
    with pytest.raises(NotFoundError, match="no model"):
        predictor.enroll("anna", ANNA)
    # A deletion that was killed half-way goes on.
    kept(models, predictor).mkdir(parents=True)
    delete_bundle(models, predictor.model_id)
    assert not (models / ".speakers" / predictor.model_id).exists()
    with pytest.raises(NotFoundError, match="no model"):
        delete_bundle(models, predictor.model_id)


def trained_again(models: Path, bundle: Bundle, *, removed: bool) -> None:
    """Publishes the model as another training of the same settings makes it: the same bits, later."""
    folder = Path(shutil.copytree(bundle.folder, models.parent / "again", dirs_exist_ok=True))
    manifest = bundle.manifest.model_copy(update={"created": "2031-01-01T00:00:00+00:00"})
    manifest.save(folder)
    if removed:
        shutil.rmtree(models / manifest.model_id)
        save_bundle(folder, None, models)
    else:  # as `train` does with force: the folder is replaced in place
        shutil.rmtree(models / manifest.model_id)
        shutil.copytree(folder, models / manifest.model_id)


def test_what_killed_enrolments_and_deletions_left_is_gone_with_the_next(predictor: Predictor, models: Path) -> None:
    predictor.enroll("anna", ANNA[:1])
    half = kept(models, predictor) / ".anna.npz.partial-dead"
    half.write_bytes(b"half a file")
    predictor.enroll("ben", ANNA[:1])  # the files of all speakers of a model are written under one lock
    assert not half.exists()
    assert as_anna(predictor)[0] == 1
    half_deleted = models / ".other.partial-dead"
    half_deleted.mkdir()
    (half_deleted / "file").write_text("x")
    delete_bundle(models, predictor.model_id)
    assert not half_deleted.exists()


@pytest.mark.parametrize("removed", [True, False])
def test_a_model_that_was_trained_again_knows_nobody_of_the_old_one(
    predictor: Predictor, models: Path, adaptive: Bundle, removed: bool
) -> None:
    predictor.enroll("anna", ANNA)
    old = kept(models, predictor)
    assert Predictor(models, predictor.model_id).known("anna") is not None  # opened again, it is the same model
    trained_again(models, adaptive, removed=removed)
    again = Predictor(models, predictor.model_id)
    assert again.known("anna") is None
    assert "anna" not in {one.speaker for one in again.speakers.list()}
    assert old.exists() != removed  # saving deletes what enrolled in the old one
    with pytest.raises(NotFoundError, match="was trained again meanwhile; enroll in the new one"):
        predictor.enroll("anna", ANNA)
    assert again.enroll("bert", ANNA[:1]) == 1
    assert not old.exists()  # and so does the next enrolment
    assert [path.name for path in kept(models, again).iterdir()] == ["bert.npz"]


def test_a_model_that_comes_back_from_a_backup_keeps_its_speakers(predictor: Predictor, models: Path) -> None:
    predictor.enroll("anna", ANNA)
    shutil.move(models / predictor.model_id, models.parent / "backup")
    save_bundle(models.parent / "backup", None, models)
    assert as_anna(Predictor(models, predictor.model_id))[0] == 3


@pytest.mark.parametrize("what", ["fifo", "link", "folder", "large"])
def test_what_is_no_file_among_the_speakers_is_named_at_once(predictor: Predictor, models: Path, what: str) -> None:
    predictor.enroll("bert", ANNA)
    path = kept(models, predictor) / "anna.npz"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(path.parent / "bert.npz")
        case "folder":
            path.mkdir()
        case "large":
            with path.open("wb") as file:
                file.truncate(1 << 40)
    with pytest.raises(DamagedError, match=rf"^\.speakers/{predictor.model_id}/\w+/anna\.npz: expected"):
        as_anna(predictor)
    assert [one.speaker for one in predictor.speakers.list() if one.enrolled_clips] == ["bert"]


def test_an_object_store_has_them_too(s3_bucket: str, adaptive: Bundle) -> None:
    place, model_id = f"{s3_bucket}/models", adaptive.manifest.model_id
    save_bundle(adaptive.folder, None, place)
    here = Predictor(place, model_id, refresh_seconds=1e9)
    elsewhere, patient = (Predictor(place, model_id, refresh_seconds=seconds) for seconds in (1e-9, 1e9))
    assert as_anna(patient)[0] == as_anna(here)[0] == 0
    assert here.enroll("anna", ANNA) == 3
    assert as_anna(here)[0] == as_anna(elsewhere)[0] == 3
    assert as_anna(patient)[0] == 0  # its time has not come yet
    assert list_models(place) == [model_id]
    assert [one.enrolled_clips for one in elsewhere.speakers.list() if one.speaker == "anna"] == [3]
    key = f"models/.speakers/{model_id}/{adaptive.manifest.training}/anna.npz"
    client, name = boto3.client("s3"), s3_bucket.removeprefix("s3://")
    assert client.get_object(Bucket=name, Key=key)["Body"].read()[:2] == b"PK"
    elsewhere.speakers.delete("anna")
    with pytest.raises(NotFoundError):
        elsewhere.speakers.delete("anna")
    assert as_anna(elsewhere)[0] == 0
    here.enroll("anna", ANNA[:1])
    delete_bundle(place, model_id)
    assert "Contents" not in client.list_objects_v2(Bucket=name)
    with pytest.raises(NotFoundError, match="no model"):
        here.enroll("anna", ANNA)


def test_a_store_that_cannot_be_reached_leaves_what_is_known(
    s3_bucket: str, adaptive: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(adaptive.folder, None, s3_bucket)
    predictor = Predictor(s3_bucket, adaptive.manifest.model_id, refresh_seconds=1e-9)
    predictor.enroll("anna", ANNA)
    assert as_anna(predictor)[0] == 3
    boto3.client("s3").delete_object(
        Bucket=s3_bucket.removeprefix("s3://"),
        Key=f".speakers/{adaptive.manifest.model_id}/{adaptive.manifest.training}/anna.npz",
    )
    assert as_anna(predictor)[0] == 0
    predictor.enroll("anna", ANNA)
    assert as_anna(predictor)[0] == 3

    def fails(name: str) -> bytes:
        raise StoreError(f"{s3_bucket}: away, {name}")

    monkeypatch.setattr(predictor.speakers._files, "read", fails)
    assert as_anna(predictor)[0] == 3
    with pytest.raises(StoreError, match="away"):
        predictor.predict(CLIP, about=About(speaker="never-asked-before"))


def test_what_is_remembered_of_names_that_callers_send_is_bounded(predictor: Predictor) -> None:
    predictor.enroll("anna", ANNA[:1])
    assert predictor.known("anna") is not None
    for number in range(400):
        assert predictor.known(f"nobody-{number}") is None
    assert predictor.speakers is not None
    assert len(predictor.speakers._held) <= 256
    assert predictor.known("anna") is not None  # read again
