"""docs/extending.md is true: each of its files, added and nothing else touched, is known and works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ser.bundles.bundle import Bundle
from tests.plug_ins import install

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^## A[^`]*`(ser/[\w/]+\.py)`\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


GROUPS = {"extractors": "ser.extractors", "models": "ser.model_types", "schemes": "ser.corpora"}


def files_of_the_documentation() -> dict[str, str]:
    files = dict(_SECTION.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
    assert [Path(path).parent.name for path in files] == list(GROUPS)
    return files


def in_a_copy_of_ser(folder: Path) -> list[Path]:
    """The files where they belong in a copy of `ser`, and nothing else touched."""
    shutil.copytree(ROOT / "ser", folder / "ser", ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in files_of_the_documentation().items():
        assert not (folder / path).exists()
        (folder / path).write_text(content, encoding="utf-8")
    return [folder / path for path in files_of_the_documentation()]


def in_a_package_of_their_own(folder: Path) -> list[Path]:
    """The files in another package, which names them as the documentation says."""
    files = {Path(path): content for path, content in files_of_the_documentation().items()}
    modules = {path.stem: content for path, content in files.items()}
    said = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    entry_points = tomllib.loads(said)["project"]["entry-points"]
    assert entry_points == {
        group: {path.stem: f"my_package.{path.stem}"}
        for path, group in zip(files, GROUPS.values(), strict=True)
    }  # fmt: skip
    install(folder, "my_package", modules, entry_points)
    return [folder / "my_package" / f"{name}.py" for name in modules]


@pytest.mark.parametrize("put", [in_a_copy_of_ser, in_a_package_of_their_own])
def test_the_files_of_the_documentation_are_all_that_it_takes(
    put: Callable[[Path], list[Path]], corpus_zip: Path, tmp_path: Path
) -> None:
    files = put(tmp_path)
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
    extractor, model_type, _ = files
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


def test_the_checks_of_the_documentation_pass_for_its_classes(tmp_path: Path) -> None:
    in_a_package_of_their_own(tmp_path)
    said = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").partition("## Is it right?")[2]
    (tmp_path / "test_mine.py").write_text(said.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    # The modules register when they are named by entry points; to import them again changes nothing.
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert re.search(r"^14 passed", ended.stdout, re.MULTILINE), ended.stdout + ended.stderr


STORE = """
from fsspec.implementations.local import LocalFileSystem

class Mine(LocalFileSystem):
    protocol = "mine"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("mine://"))
"""


def test_a_store_of_another_package_is_found_by_fsspec_s_entry_points(bundle: Bundle, tmp_path: Path) -> None:
    install(tmp_path, "their_store", {"files": STORE}, {"fsspec.specs": {"mine": "their_store.files.Mine"}})
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SER_CACHE_ROOT": str(tmp_path / "cache")}
    place, sample = f"mine://{bundle.folder.parent}", bundle.manifest.validation_samples[0]
    ended = subprocess.run(
        [sys.executable, "-m", "ser", "predict", "--json", "--model-save-path", place, "--sample-name", sample],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["model_id"] == bundle.manifest.model_id
