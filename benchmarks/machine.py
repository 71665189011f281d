"""On what a figure was taken: where last digits differ by processor, what follows from them does."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
"""Flag of Linux to the vector instructions that a library would choose, the widest first."""


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name and its widest vector instructions, as far as the machine tells."""
    facts = (
        dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line) if cpuinfo.exists() else {}
    )
    told = {name.strip().lower(): value.strip() for name, value in facts.items()}
    flags = told.get("flags", told.get("features", "")).split()
    widest = next((name for flag, name in _VECTORS.items() if flag in flags), "unknown vector instructions")
    return f"{told.get('model name') or platform.machine()}, {widest}"


def tensorflow() -> str:
    """TensorFlow with its version, which is not imported for it."""
    return f"TensorFlow {importlib.metadata.version('tensorflow')}"
