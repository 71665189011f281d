from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ser.corpora import folder as corpus_folder
from ser.corpora.schemes.emodb import EMOTIONS
from ser.dataset import Dataset
from ser.errors import AudioError, ConfigError, CorpusError, DamagedError, DownloadError, LimitError, SerError
from ser.progress import Progress
from ser.storage.archive import Limits
from tests.signals import CLIPS, tone, wav

GOOD = {
    "wav/03a01Fa.wav": wav(tone(0.6)),
    "wav/03a01Wa.wav": wav(tone(0.9)),
    "wav/08a01Fa.wav": wav(tone(0.6)),
}
MakeZip = Callable[[dict[str, bytes]], Path]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_the_manifest_says_what_each_recording_is(dataset: Dataset) -> None:
    manifest = dataset.prepare()
    assert manifest.corpus == "EmoDB"
    assert len(manifest.clips) == CLIPS
    assert {clip.emotion for clip in manifest.clips} == set(EMOTIONS.values())
    for clip in manifest.clips:
        assert (clip.sample_rate_hz, clip.channels) == (16_000, 1)
        assert clip.seconds == clip.num_samples / 16_000 > 0.5


def test_load_gives_every_clip_as_the_manifest_has_it(dataset: Dataset) -> None:
    for clip, samples in dataset.load():
        assert samples.shape == (clip.num_samples,)
        assert samples.dtype == np.float32


@pytest.mark.parametrize(
    ("split_at", "lengths"), [("min", min), ("max", max), ("avg", np.mean), ("8000", lambda _: 8_000)]
)
def test_split_at_decides_the_piece_length(
    corpus_zip: Path, tmp_path: Path, split_at: str, lengths: Callable[[list[int]], float]
) -> None:
    dataset = Dataset(tmp_path, str(corpus_zip))
    dataset.load(split_at=split_at)
    expected = round(lengths([clip.num_samples for clip in dataset.prepare().clips]))
    assert dataset.piece_samples == expected
    features = dataset.get_features()
    for clip, sample in zip(dataset.prepare().clips, features.samples, strict=True):
        assert sample.name == clip.name
        assert sample.pieces == -(-clip.num_samples // expected)


def test_a_second_run_writes_nothing(corpus_zip: Path, tmp_path: Path) -> None:
    Dataset(tmp_path, str(corpus_zip)).get_features()
    before = tree(tmp_path)
    Dataset(tmp_path, str(corpus_zip)).get_features()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("stage", ["download", "extract", "prepare", "load", "feature_extract", "get_features"])
def test_force_does_a_stage_again(corpus_zip: Path, tmp_path: Path, stage: str) -> None:
    told: list[Progress] = []
    dataset = Dataset(tmp_path, str(corpus_zip), report=told.append)
    dataset.get_features()
    told.clear()
    getattr(dataset, stage)(force=True)
    expected = {"load": "prepare", "feature_extract": "features", "get_features": "features"}.get(stage, stage)
    assert {progress.stage for progress in told} == {expected}


def test_features_are_bit_for_bit_the_same_again(corpus_zip: Path, features: Path, tmp_path: Path) -> None:
    again = Dataset(tmp_path, str(corpus_zip)).feature_extract()
    for name in ("rows.npy", "features.json"):
        assert (again / name).read_bytes() == (features / name).read_bytes()


def test_a_damaged_clip_is_found_and_force_mends_it(corpus_zip: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, str(corpus_zip))
    clip = dataset.prepare().clips[3]
    path = dataset.extract() / clip.path
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x02")
    with pytest.raises(DamagedError, match=f"{clip.name} is altered since it was prepared; run again with force"):
        dataset.get_features()
    path.unlink()
    with pytest.raises(DamagedError, match=f"{clip.name} is missing"):
        dataset.get_features()
    dataset.extract(force=True)
    assert len(dataset.get_features().samples) == CLIPS


def bad(name: str, content: bytes) -> dict[str, bytes]:
    return {**GOOD, f"wav/{name}": content}


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"readme.txt": b"hello"}, CorpusError, "found no audio inside"),
        ({"wav/take1.wav": wav(tone())}, CorpusError, "follow no known corpus"),
        ({**GOOD, "more/03a01Fa.wav": wav(tone())}, CorpusError, "'03a01Fa.wav' comes in several folders"),
        (bad("09a01Fa.wav", b""), AudioError, r"wav/09a01Fa\.wav: .*empty file"),
        (bad("09a01Fa.wav", wav(tone())[:-100]), AudioError, r"wav/09a01Fa\.wav: cut short"),
        (bad("09a01Fa.wav", wav(tone() * 0)), AudioError, r"wav/09a01Fa\.wav: .*silence"),
        (bad("09a01Fa.wav", wav(tone() * np.nan, subtype="FLOAT")), AudioError, r"wav/09a01Fa\.wav: .*NaN"),
        (bad("09a01Fa.wav", b"no audio"), AudioError, r"wav/09a01Fa\.wav: .*can be decoded"),
        ({"../03a01Fa.wav": b"x"}, SerError, "leaves the folder"),
    ],
    ids=["no audio", "unknown names", "twice", "empty", "truncated", "silent", "nan", "garbage", "dots"],
)
def test_a_bad_corpus_is_refused_by_the_name_of_the_culprit(
    make_zip: MakeZip, tmp_path: Path, members: dict[str, bytes], error: type[SerError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Dataset(tmp_path / "data", str(make_zip(members))).get_features()
    assert not list((tmp_path / "data").glob("features/*/*"))


def test_other_rates_channels_and_formats_are_one_corpus(make_zip: MakeZip, tmp_path: Path) -> None:
    stereo = np.stack([tone(0.8, 48_000)] * 2, axis=1)
    members = {
        **GOOD,
        "wav/08a01Wa.wav": wav(stereo, 48_000, subtype="PCM_24"),
        "wav/09a01Wa.flac": wav(tone(0.8, 8_000), 8_000, kind="FLAC"),
        "wav/09a02Wa.ogg": wav(tone(0.8), kind="OGG", subtype="VORBIS"),
        "__MACOSX/wav/._03a01Fa.wav": b"shadow",
        "erkennung.txt": "Müller;0,5".encode("latin-1"),
    }
    features = Dataset(tmp_path / "data", str(make_zip(members))).get_features()
    assert len(features.samples) == 6
    assert np.isfinite(features.rows).all()


def test_a_zip_over_the_limits_is_refused(make_zip: MakeZip, tmp_path: Path) -> None:
    path = make_zip(GOOD)
    with pytest.raises(LimitError, match="at most 1000 bytes, got"):
        Dataset(tmp_path / "data", str(path), limits=Limits(max_download_bytes=1_000)).download()
    with pytest.raises(LimitError, match="at most 1000 bytes unpacked"):
        Dataset(tmp_path / "data", str(path), limits=Limits(max_unpacked_bytes=1_000)).download()


def test_a_bad_download_leaves_the_good_one(corpus_zip: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.zip"
    shutil.copy(corpus_zip, source)
    dataset = Dataset(tmp_path / "data", str(source))
    features = dataset.feature_extract()
    before = tree(tmp_path / "data")
    source.write_bytes(b"now it is broken")
    with pytest.raises(SerError, match=r"source\.zip: expected a zip"):
        Dataset(tmp_path / "data", str(source)).feature_extract(force=True)
    source.unlink()
    with pytest.raises(DownloadError, match="there is no such file"):
        Dataset(tmp_path / "data", str(source)).feature_extract()
    assert tree(tmp_path / "data") == before
    assert (features / "rows.npy").exists()


def test_recordings_are_looked_at_anew_by_other_code_and_what_is_the_same_stays(
    corpus_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    features = Dataset(tmp_path, str(corpus_zip)).feature_extract()
    monkeypatch.setattr(corpus_folder, "corpora_code", lambda: "another")
    for stages in ({"prepare"}, set()):
        told.clear()
        assert Dataset(tmp_path, str(corpus_zip), report=told.append).feature_extract() == features
        assert {progress.stage for progress in told} == stages


def test_two_at_once_on_one_folder_both_end_well(corpus_zip: Path, tmp_path: Path) -> None:
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(Dataset(tmp_path, str(corpus_zip)).feature_extract()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 2
    assert results[0] == results[1]


def test_wrong_settings_are_refused_by_the_request_s_names(corpus_zip: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, str(corpus_zip))
    with pytest.raises(ConfigError, match="^dataset_load_split_at: "):
        dataset.load(split_at="foo")
    with pytest.raises(ConfigError, match="^dataset_feature_extract_methods: unknown"):
        dataset.feature_extract({"Wavelets": {}})


def test_emodb_is_what_its_authors_say(emodb_zip: Path, tmp_path: Path) -> None:
    manifest = Dataset(tmp_path, str(emodb_zip)).prepare()
    counts = {emotion: sum(clip.emotion == emotion for clip in manifest.clips) for emotion in EMOTIONS.values()}
    assert counts == {
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "sadness": 62,
        "neutral": 79,
    }
    assert sum(clip.seconds for clip in manifest.clips) / 60 == pytest.approx(24.8, abs=0.05)
    assert {clip.sample_rate_hz for clip in manifest.clips} == {16_000}
    # Four of its files carry a chunk before or after the samples; none of it is sound.
    with zipfile.ZipFile(emodb_zip) as archive:
        sizes = {clip.name: archive.getinfo(f"wav/{clip.name}").file_size for clip in manifest.clips}
    odd = [clip.name for clip in manifest.clips if clip.num_samples * 2 < sizes[clip.name] - 4_000]
    assert len(odd) == 4
    assert all(name.startswith("14a07") for name in odd)


def test_the_manifest_file_is_checked(corpus_zip: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, str(corpus_zip))
    dataset.prepare()
    path = dataset.extract() / corpus_folder.MANIFEST
    path.write_text('{"corpus": "EmoDB"}')
    with pytest.raises(DamagedError, match=r"corpus\.json was altered since it was written"):
        dataset.prepare()
    assert len(dataset.prepare(force=True).clips) == CLIPS
