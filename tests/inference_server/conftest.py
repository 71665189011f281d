"""One server that many tests share, with one model."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser.bundle import Bundle
from tests.inference_server.harness import Server, serve


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
