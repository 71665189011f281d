"""docs/extending.md is true: each of its files, added and nothing else touched, is known and works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^## A[^`]*`(ser/[\w/]+\.py)`\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_files_of_the_documentation_are_all_that_it_takes(corpus_zip: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ser", tmp_path / "ser", ignore=shutil.ignore_patterns("__pycache__"))
    files = _SECTION.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))
    assert [Path(path).parent.name for path, _ in files] == ["extractors", "models", "schemes"]
    for path, content in files:
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(content, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*command: str) -> str:
        ended = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    train = (
        *("-m", "ser", "train", "--json", "--remote-url", str(corpus_zip)),
        *("--dataset-feature-extract-methods", '{"ZeroCrossings": {"parts": 20}, "MFCC": {}}'),
        *("--model-type", "KerasDeepClassifier", "--model-config", '{"epochs": 2}'),
    )
    answer = json.loads(run(*train))
    assert answer["model_id"].startswith("KerasDeepClassifier-")
    json.loads(run("-m", "ser", "predict", "--json", "--sample-name", answer["test_samples"][0]))
    # Whoever edits one of them gets what it makes now, by the same command; a comment changes nothing.
    extractor, model_type = (tmp_path / path for path, _ in files[:2])
    model_type.write_text(f"# Deep.\n{model_type.read_text(encoding='utf-8')}", encoding="utf-8")
    ids, features = [answer["model_id"], json.loads(run(*train))["model_id"]], tmp_path / "data" / "features"
    assert len(list(features.glob("[!.]*"))) == 1
    for path, old, new in ((model_type, "Dense(200", "Dense(20"), (extractor, "mean(axis=1)", "sum(axis=1)")):
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        ids.append(json.loads(run(*train))["model_id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert len(list(features.glob("[!.]*"))) == 2
    known = "from ser.corpora import CORPORA; print(CORPORA.get('Rehearsals')().parse('x/anna_t3_relief_2.wav'))"
    assert "speaker='anna', gender='female', text='t3', emotion='relief'" in run("-c", known)
