from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ser.corpora.folder import Clip
from ser.steps import clip_rows


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each clip is decoded for features."""
    counted: Counter[str] = Counter()
    read_clip = clip_rows.read_clip

    def count(folder: Path, clip: Clip) -> object:
        counted[clip.name] += 1
        return read_clip(folder, clip)

    monkeypatch.setattr(clip_rows, "read_clip", count)
    return counted
