"""Small real things that many tests share: a synthetic corpus, its features, a trained model, the real EmoDB."""

from __future__ import annotations

import builtins
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from ser.dataset import Dataset
from ser.synthesis import synthesise_corpus
from ser.trainer import Trainer
from tests.inference_server.harness import Server, serve
from tests.signals import CLIPS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-emodb",
        action="store_true",
        help="fail, not skip, where SER_EMODB_ZIP does not name the corpus",
    )
    parser.addoption(
        "--require-containers",
        action="store_true",
        help="fail, not skip, where there is no container engine, or no image",
    )
    parser.addoption(
        "--random-order",
        type=int,
        metavar="SEED",
        help="run the files, and the tests of each, in a random order, the same for the same seed",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--random-order")
    return None if seed is None else f"random order: --random-order {seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--random-order")
    if seed is None:
        return
    # File by file: what a file's fixtures have made, a server for one, serves all its tests.
    chance = random.Random(seed)
    files = sorted({item.path for item in items})
    place = {path: chance.random() for path in files}
    items.sort(key=lambda item: (place[item.path], chance.random()))


@pytest.fixture(autouse=True)
def leaves_the_process_as_it_was() -> Iterator[None]:
    """No test may depend on which ran before it: what all share in this process is put back by whoever changed it."""
    before = _shared()
    yield
    assert _shared() == before


def _shared() -> tuple[object, ...]:
    own = {name: value for name, value in os.environ.items() if name.startswith(("SER_", "KFP_"))}
    return builtins.print, Path.cwd(), own


@pytest.fixture(scope="session")
def emodb_zip(request: pytest.FixtureRequest) -> Path:
    """The real EmoDB."""
    path = os.environ.get("SER_EMODB_ZIP")
    if path and Path(path).is_file():
        return Path(path)
    if request.config.getoption("--require-emodb"):
        pytest.fail(f"SER_EMODB_ZIP: expected the EmoDB zip, got {path!r}")
    pytest.skip("SER_EMODB_ZIP does not name the EmoDB zip")


@pytest.fixture(scope="session")
def corpus_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic corpus, laid out like EmoDB."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.zip"
    synthesise_corpus(path, clips=CLIPS, seed=1)
    return path


@pytest.fixture(scope="session")
def dataset(corpus_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The synthetic corpus as a dataset; tests only read it."""
    dataset = Dataset(tmp_path_factory.mktemp("data"), str(corpus_zip))
    dataset.prepare()
    return dataset


@pytest.fixture(scope="session")
def features(dataset: Dataset) -> Path:
    """The synthetic corpus's feature folder, default methods; tests only read it."""
    return dataset.feature_extract()


@pytest.fixture(scope="session")
def bundle(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model trained on the synthetic corpus; tests only read it."""
    return Trainer("KerasClassifier", {"epochs": 8}).train(features, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def adaptive(bundle: Bundle, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that adapts to speakers; tests only read it."""
    from tests.adaptive_model import adaptive_bundle  # imports TensorFlow

    return adaptive_bundle(bundle, features, tmp_path_factory.mktemp("adaptive"))


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Writes a zip of the given members."""

    def make(members: dict[str, bytes]) -> Path:
        path = tmp_path / "made.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


@pytest.fixture(scope="session")
def server(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers. Tests leave its model alone, and train nothing with it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(bundle.folder, folder / "models" / bundle.manifest.model_id)
    with serve(folder, workers=2, max_message_bytes=4 << 20, max_audio_seconds=20, max_clips=4) as server:
        yield server


@pytest.fixture(scope="session")
def model_id(bundle: Bundle) -> str:
    """The model that the server has."""
    return bundle.manifest.model_id


@pytest.fixture
def sample(bundle: Bundle) -> str:
    """One of its validation samples."""
    return bundle.manifest.validation_samples[0]


@pytest.fixture(scope="session")
def recording(corpus_zip: Path) -> bytes:
    """A WAV of the corpus."""
    with zipfile.ZipFile(corpus_zip) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".wav"))
        return archive.read(name)
