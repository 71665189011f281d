"""What a machine is called that figures are taken on."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import pytest

from benchmarks.machine import processor, tensorflow


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("model name\t: Some 9000\nflags\t\t: fpu avx avx2 avx512f\n\nprocessor\t: 1\n", "Some 9000, AVX-512"),
        ("model name\t: Some 90\nflags\t\t: fpu avx avx2\n", "Some 90, AVX2"),
        ("Features\t: fp asimd\n", f"{platform.machine()}, NEON"),
        ("", f"{platform.machine()}, unknown vector instructions"),
    ],
)
def test_a_processor_is_its_name_and_its_widest_vectors(told: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    assert processor(tmp_path / "cpuinfo") == name
    assert processor(tmp_path / "nowhere") == f"{platform.machine()}, unknown vector instructions"


def test_tensorflow_has_its_version() -> None:
    assert tensorflow() == f"TensorFlow {importlib.metadata.version('tensorflow')}"
