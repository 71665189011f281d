"""Corpora files, folders and label mappings: from small corpora of every scheme to a model of two."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.corpora.corpora_file import is_corpora_file, local_paths, read_members
from ser.dataset import Dataset
from ser.errors import ConfigError, CorpusError, DownloadError, ForbiddenError, LimitError, SerError
from ser.request import TrainRequest
from ser.storage.access import Access
from ser.storage.archive import Limits
from ser.synthesis import synthesise_corpus
from ser.trainer import run
from tests.inference_server.test_training import files_of
from tests.signals import tone, wav

RAVDESS = {
    "calm": "03-01-02-01-01-01-01",
    "neutral": "03-01-01-01-01-01-02",
    "surprise": "03-01-08-01-02-01-01",
    "anger": "03-01-05-01-02-01-02",
}


def write(folder: Path, names: Mapping[str, bytes] | list[str], seconds: float = 0.4) -> Path:
    """A folder of recordings, each its own tone."""
    files = names if isinstance(names, Mapping) else dict.fromkeys(names)
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content or wav(tone(seconds, hertz=200.0 + 10 * number)))
    return folder


def ravdess(folder: Path) -> Path:
    names = [f"Actor_{stem[-2:]}/{stem}.wav" for stem in RAVDESS.values()]
    return write(folder, names)


def corpora(path: Path, *entries: Mapping[str, object]) -> str:
    path.write_text(json.dumps({"corpora": entries}))
    return str(path)


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize(
    ("scheme", "names", "labels"),
    [
        ("RAVDESS", ["Actor_01/03-01-05-01-01-01-01.wav", "Actor_02/03-01-02-01-02-02-02.wav"], {"anger", "calm"}),
        ("SAVEE", ["DC/a01.wav", "JE/a01.wav", "KL_su02.wav"], {"anger", "surprise"}),
        ("CREMA-D", ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_DFA_HAP_LO.wav"], {"anger", "happiness"}),
        ("TESS", ["OAF_Fear/OAF_back_fear.wav", "YAF_pleasant_surprised/YAF_back_ps.wav"], {"fear", "surprise"}),
        ("EMOVO", ["f1/dis-f1-b1.wav", "m1/gio-m1-b1.wav"], {"disgust", "happiness"}),
        ("LabelFolders", ["x/calm/1.wav", "x/tense/1.wav"], {"calm", "tense"}),
    ],
)
def test_each_scheme_makes_a_manifest_from_a_zip_and_from_a_folder(
    tmp_path: Path, scheme: str, names: list[str], labels: set[str]
) -> None:
    folder = write(tmp_path / "corpus", names)
    manifests = [Dataset(tmp_path / "data", str(source)).prepare() for source in (folder, zipped(folder))]
    for manifest in manifests:
        assert manifest.corpus == scheme
        assert {clip.emotion for clip in manifest.clips} == labels
        assert {clip.corpus for clip in manifest.clips} == {scheme}
    assert manifests[0].clips == manifests[1].clips


def test_stereo_at_48_khz_is_mixed_down_and_resampled(tmp_path: Path) -> None:
    mono = tone(0.5, 48_000)
    files = {
        "Actor_01/03-01-05-01-01-01-01.wav": wav(np.stack([mono, 0.5 * mono], axis=1), 48_000),
        "Actor_02/03-01-06-01-01-01-02.wav": wav(mono, 48_000),
    }
    dataset = Dataset(tmp_path / "data", str(write(tmp_path / "ravdess", files)))
    (stereo, samples), (other, _) = dataset.load()
    assert (stereo.sample_rate_hz, stereo.channels, stereo.num_samples) == (48_000, 2, 8_000)
    assert (other.sample_rate_hz, other.channels) == (48_000, 1)
    expected = 0.375 * np.sin(2 * np.pi * 220 * np.arange(8_000) / 16_000)
    assert np.abs(samples - expected)[200:-200].max() < 1e-3


def test_names_that_several_files_have_are_told_apart_by_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "savee", ["DC/a01.wav", "JE/a01.wav", "JE/f02.wav"])
    clips = Dataset(tmp_path / "data", str(folder)).prepare().clips
    assert {clip.name: clip.speaker for clip in clips} == {"DC/a01.wav": "DC", "JE/a01.wav": "JE", "f02.wav": "JE"}


def test_a_recording_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    # A well-known copy of RAVDESS has all of it in a second folder.
    folder = ravdess(tmp_path / "ravdess")
    shutil.copytree(folder, tmp_path / "copy")
    shutil.move(tmp_path / "copy", folder / "audio_speech_actors_01-24")
    with pytest.raises(CorpusError, match=r"expected each file name once, '03-01-.*' comes in several folders"):
        Dataset(tmp_path / "data", str(folder)).prepare()


def test_several_corpora_become_one(tmp_path: Path) -> None:
    ravdess(tmp_path / "ravdess")
    zipped(write(tmp_path / "savee", ["DC/a01.wav", "DC/n01.wav", "JE/a01.wav"]))
    write(tmp_path / "mine", ["anger/a01.wav", "joy/a01.wav"])
    url = corpora(
        tmp_path / "corpora.yaml",
        {"name": "ravdess", "url": "ravdess", "labels": {"calm": "neutral", "surprise": None}},
        {"name": "savee", "url": "savee.zip"},
        {"name": "mine", "url": str(tmp_path / "mine"), "labels": {"joy": "happiness"}},
    )
    dataset = Dataset(tmp_path / "data", url)
    manifest = dataset.prepare()
    assert (manifest.corpus, manifest.source) == ("RAVDESS, SAVEE, LabelFolders", "corpora.yaml")
    assert [(clip.name, clip.corpus, clip.speaker, clip.text, clip.emotion) for clip in manifest.clips] == [
        ("03-01-01-01-01-01-02.wav", "ravdess", "ravdess/02", "ravdess/01", "neutral"),
        ("03-01-02-01-01-01-01.wav", "ravdess", "ravdess/01", "ravdess/01", "neutral"),
        ("03-01-05-01-02-01-02.wav", "ravdess", "ravdess/02", "ravdess/02", "anger"),
        ("mine/anger/a01.wav", "mine", "mine/unknown", "unknown", "anger"),
        ("mine/joy/a01.wav", "mine", "mine/unknown", "unknown", "happiness"),
        ("n01.wav", "savee", "savee/DC", "savee/n01", "neutral"),
        ("savee/DC/a01.wav", "savee", "savee/DC", "savee/a01", "anger"),
        ("savee/JE/a01.wav", "savee", "savee/JE", "savee/a01", "anger"),
    ]
    features = dataset.get_features()
    assert [sample.corpus for sample in features.samples] == [clip.corpus for clip in manifest.clips]


def test_another_mapping_is_another_corpus_and_fetches_nothing_again(tmp_path: Path) -> None:
    folder = ravdess(tmp_path / "ravdess")
    told: list[str] = []

    def prepare(labels: Mapping[str, str | None]) -> set[str]:
        url = corpora(tmp_path / "corpora.json", {"name": "r", "url": "ravdess", "labels": labels})
        dataset = Dataset(tmp_path / "data", url, report=lambda progress: told.append(progress.unit))
        return {clip.emotion for clip in dataset.prepare().clips}

    assert prepare({}) == {"calm", "neutral", "surprise", "anger"}
    told.clear()
    assert prepare({"calm": "neutral"}) == {"neutral", "surprise", "anger"}
    assert "bytes" in told  # the corpora file
    zips = list((tmp_path / "data" / "download").glob("*/corpus.zip"))
    assert len(zips) == 1
    assert folder.exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [({"calmm": "neutral"}, "r: labels: 'calmm' is no label of r, which has anger, calm, neutral, surprise"),
     (dict.fromkeys(RAVDESS), "leaves out all of them")],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused(tmp_path: Path, labels: Mapping[str, str | None], message: str) -> None:
    ravdess(tmp_path / "ravdess")
    url = corpora(tmp_path / "corpora.yaml", {"name": "r", "url": "ravdess", "labels": labels})
    with pytest.raises(CorpusError, match=message):
        Dataset(tmp_path / "data", url).prepare()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("corpora: [", "corpora.yaml: expected YAML"),
        ("- a", "corpora.yaml: expected an object with fields"),
        ("corpora: []", "corpora.yaml: corpora: list should have at least 1 item"),
        ("corpora: [{name: a}]", "corpora.yaml: corpora.0.url: mandatory, and missing"),
        ("corpora: [{name: a, url: x, label: {}}]", "corpora.yaml: corpora.0.label: unknown field; allowed"),
        ("corpora: [{name: ../a, url: x}]", "corpora.yaml: corpora.0.name: string should match"),
        ("corpora: [{name: a, url: x, labels: {yes: no}}]", "corpora.yaml: corpora.0.labels"),
        ("corpora: [{name: a, url: x}, {name: A, url: y}]", "corpora.yaml: corpora: expected each name once"),
        ("corpora: [{name: a, url: other.yaml}]", "corpora.yaml: url 'other.yaml': .*not another corpora file"),
        ("corpora: [{name: a, url: 'ftp://x/y'}]", "corpora.yaml: url 'ftp://x/y': expected http://"),
        ("corpora: [&x {name: a, url: x}, *x]", "corpora.yaml: expected YAML: aliases"),
    ],
)
def test_a_corpora_file_that_is_wrong_is_refused_by_entry(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "corpora.yaml").write_text(content)
    with pytest.raises(ConfigError, match=f"^remote_url: {message}"):
        Dataset(tmp_path / "data", str(tmp_path / "corpora.yaml")).download()


def test_a_corpora_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="none.yaml"):
        Dataset(tmp_path / "data", str(tmp_path / "none.yaml")).download()
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(LimitError, match="large.yaml"):
        Dataset(tmp_path / "data", str(tmp_path / "large.yaml")).download()
    url = corpora(tmp_path / "corpora.yaml", {"name": "a", "url": "none.zip"})
    with pytest.raises(DownloadError, match="none.zip"):
        Dataset(tmp_path / "data", url).download()


@pytest.mark.parametrize(
    ("limit", "enough_for_one", "enough_for_two"),
    [("max_download_bytes", 60_000, 120_000), ("max_unpacked_bytes", 60_000, 120_000), ("max_files", 4, 8)],
)
def test_limits_are_those_of_all_corpora_together(
    tmp_path: Path, limit: str, enough_for_one: int, enough_for_two: int
) -> None:
    for name in ("a", "b"):
        ravdess(tmp_path / name)  # 52 kB
    url = corpora(tmp_path / "corpora.yaml", {"name": "one", "url": "a"}, {"name": "two", "url": "b"})
    with pytest.raises(LimitError):
        Dataset(tmp_path / "data", url, limits=replace(Limits(), **{limit: enough_for_one})).extract()
    Dataset(tmp_path / "data", url, limits=replace(Limits(), **{limit: enough_for_two})).extract()


@pytest.mark.parametrize(
    ("address", "is_one"),
    [("a.yaml", True), ("https://x/y.yml?z=a.zip", True), ("file:///a.JSON", True), ("a.zip", False),
     ("https://x/y.zip?z=a.yaml", False), ("embedded:", False), ("folder", False)],
)  # fmt: skip
def test_the_ending_tells_a_corpora_file(address: str, is_one: bool) -> None:
    assert is_corpora_file(address) is is_one


def test_addresses_are_relative_to_the_corpora_file(tmp_path: Path) -> None:
    content = b"corpora: [{name: a, url: b/a.zip}, {name: c, url: 'embedded:?clips=20'}]"
    here = read_members(content, f"{tmp_path}/corpora.yaml")
    assert [member.source.identity for member in here]
    assert str(here[0].source).find(f"{tmp_path}/b/a.zip") > 0
    assert "clips=20" in str(here[1].source)
    there = read_members(content, "https://example.org/x/corpora.yaml?token=1")
    assert "'https://example.org/x/b/a.zip'" in str(there[0].source)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.zip").touch()
    (tmp_path / "corpora.yaml").write_bytes(content)
    assert local_paths(f"{tmp_path}/corpora.yaml") == [tmp_path / "corpora.yaml", tmp_path / "b" / "a.zip"]


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on loopback."""
    folder = tmp_path / "hosted"
    folder.mkdir()
    with files_of(folder) as url:
        yield folder, url


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("file:///etc/passwd", "file"),
        ("http://localhost:1/x.zip", "remote_url: localhost is a private address"),
        ("http://169.254.169.254/latest/x.zip", "remote_url: 169.254.169.254 is a private address"),
        ("embedded:", "remote_url: embedded: is not allowed here"),
    ],
)
def test_what_may_be_fetched_counts_inside_a_corpora_file(
    hosted: tuple[Path, str], tmp_path: Path, inside: str, message: str
) -> None:
    folder, url = hosted
    port = url.rpartition(":")[2]
    access = Access(frozenset({"http"}), private=False, hosts=frozenset({f"127.0.0.1:{port}"}))
    zipped(ravdess(folder / "ravdess"))
    good = {"name": "good", "url": "ravdess.zip"}
    corpora(folder / "good.yaml", good)
    corpora(folder / "bad.yaml", good, {"name": "bad", "url": inside})
    assert len(Dataset(tmp_path / "data", f"{url}/good.yaml", access=access).prepare().clips) == len(RAVDESS)
    with pytest.raises(ForbiddenError, match=re.escape(message)):
        Dataset(tmp_path / "data", f"{url}/bad.yaml", access=access).prepare()


def test_a_corpora_file_from_the_network_names_no_files_of_this_machine(
    hosted: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = hosted
    corpora(folder / "corpora.yaml", {"name": "bad", "url": (tmp_path / "secret.zip").as_uri()})
    with pytest.raises(ForbiddenError, match="must not name files of a machine"):
        Dataset(tmp_path / "data", f"{url}/corpora.yaml").download()
    corpora(folder / "corpora.yaml", {"name": "bad", "url": str(tmp_path / "secret.zip")})  # a path of that host
    (tmp_path / "secret.zip").write_bytes(b"secret")
    with pytest.raises(SerError, match="404"):
        Dataset(tmp_path / "data2", f"{url}/corpora.yaml").download()


def test_training_on_two_corpora(tmp_path: Path) -> None:
    synthesise_corpus(tmp_path / "first.zip", clips=42, seed=1)
    synthesise_corpus(tmp_path / "second.zip", clips=42, seed=2)
    with zipfile.ZipFile(tmp_path / "second.zip") as archive:
        archive.extractall(tmp_path / "second")
    url = corpora(
        tmp_path / "corpora.yaml",
        {"name": "first", "url": "first.zip", "labels": {"boredom": None}},
        {"name": "second", "url": "second", "labels": {"boredom": "neutral"}},
    )
    body = {
        "data_path": str(tmp_path / "data"),
        "remote_url": url,
        "model_save_path": str(tmp_path / "models"),
        "model_type": "KerasClassifier",
        "model_config": {"epochs": 2},
        "dataset_load_split_at": "avg",
    }
    result = run(parse(TrainRequest, body))
    assert "boredom" not in result.classes
    bundle = Bundle(tmp_path / "models" / result.model_id)
    assert {sample.corpus for sample in bundle.validation.samples} == {"first", "second"}
    assert any("/" in name for name in result.test_samples)  # both have clips of the same names
    assert bundle.manifest.source == "corpora.yaml"
