"""What has been edited is made again, and what has only been moved or said otherwise is not."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ser.code_identity import _STEPS, code_digest, statements
from ser.corpora import CORPORA
from ser.features import EXTRACTORS
from ser.models import MODEL_TYPES

PLUGIN = {
    "loud/__init__.py": "from loud.extractor import Loudness\n",
    "loud/extractor.py": '''
        """An extractor of somebody else's."""
        import numpy as np
        from ser.config import Config
        from ser.features.extractors.base import EXTRACTORS, FeatureExtractor
        from loud import levels
        from loud.base import Base

        class LoudnessConfig(Config):
            """Nothing to set."""

        @EXTRACTORS.register()
        class Loudness(Base):
            """How loud."""
            Config = LoudnessConfig

            @classmethod
            def create(cls, config, corpus):
                return cls(config, {})

            def shape(self, piece_samples):
                return (4,)

            def extract(self, pieces, about):
                from loud.late import scaled
                parts = np.array_split(np.abs(pieces), 4, axis=1)  # four parts
                return scaled(np.stack([levels.level(part) for part in parts], axis=1)).astype(np.float32)
    ''',
    "loud/base.py": "from ser.features import FeatureExtractor\nclass Base(FeatureExtractor):\n    power = 1\n",
    "loud/levels.py": "def level(part):\n    return part.mean(axis=1)\n",
    "loud/late.py": "def scaled(rows):\n    return 1.0 * rows\n",
    "loud/unused.py": "def nothing():\n    return 1\n",
    "slow.py": """
        from ser.models.base import MODEL_TYPES
        from ser.models.keras_classifier import KerasClassifier, KerasClassifierConfig

        @MODEL_TYPES.register()
        class SlowClassifier(KerasClassifier):
            Config = KerasClassifierConfig
            units = 3
    """,
}
Edit = Callable[[Path], object]


def replace(name: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return edit


def move_levels(folder: Path) -> None:
    """A function goes to another file; whoever imports it is told."""
    text = (folder / "loud/levels.py").read_text()
    (folder / "loud/levels.py").write_text("from loud.deep.down import level\n")
    (folder / "loud/deep").mkdir()
    (folder / "loud/deep/__init__.py").write_text("")
    (folder / "loud/deep/down.py").write_text(f'"""Moved."""\n{text}')


def write(folder: Path) -> Path:
    for name, text in PLUGIN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


DIGESTS = """
import loud, slow
from ser.code_identity import code_digest
print(code_digest(loud.Loudness), code_digest(slow.SlowClassifier))
"""


def digests(folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(
        [sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return digests(write(tmp_path_factory.mktemp("plugin")))


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (replace("loud/extractor.py", "split(np.abs(pieces), 4", "split(np.abs(pieces), 3"), [True, False]),
        (replace("loud/levels.py", "mean", "max"), [True, False]),
        (replace("loud/late.py", "1.0", "2.0"), [True, False]),
        (replace("loud/base.py", "power = 1", "power = 2"), [True, False]),
        (replace("slow.py", "units = 3", "units = 4"), [False, True]),
    ],
    ids=["itself", "a helper", "a helper that is imported late", "a base class", "a model type"],
)
def test_an_edit_is_noticed(edit: Edit, changed: list[bool], before: list[str], tmp_path: Path) -> None:
    edit(write(tmp_path))
    assert [one != other for one, other in zip(digests(tmp_path), before, strict=True)] == changed


@pytest.mark.parametrize(
    "edit",
    [
        replace("loud/extractor.py", "  # four parts", "  # as many as fingers, less the thumb"),
        replace("loud/extractor.py", "How loud.", "How loud it is."),
        replace(
            "loud/extractor.py", "(np.abs(pieces), 4, axis=1)", "(\n                    np.abs(pieces),  4, axis = 1)"
        ),
        replace("loud/extractor.py", "import numpy as np\n", "import os\nimport numpy as np\n\n\n"),
        replace("loud/unused.py", "1", "2"),
        move_levels,
    ],
    ids=["a comment", "a docstring", "white space", "an import", "a module that nobody imports", "a move"],
)
def test_what_changes_nothing_makes_nothing_stale(edit: Edit, before: list[str], tmp_path: Path) -> None:
    edit(write(tmp_path))
    assert digests(tmp_path) == before


def test_statements_are_told_by_what_they_say() -> None:
    source = '''
        """A module."""
        from __future__ import annotations
        import os, sys


        X = 1  # one
        """About X, which is ä."""
        class A:
            """A class."""
            y = "ä"; import re
            def f(self): return f"{self.y + 'x'!r} and  {1}"
    '''
    same = 'class A:\n  y = "ä"\n\n  def f(self):\n      # nothing\n      return f"{self.y + \'x\'!r} and  {1}"\nX=1'
    left, right = statements(textwrap.dedent(source)), statements(same)
    assert len(left) == len(right) == 2
    assert left[0] == right[1]
    assert statements(same.replace("and  ", "and ")) != right
    assert statements("if a:\n  b()\nc()") != statements("if a:\n  b()\n  c()")
    assert statements("import os") == statements("") == statements('"""Nothing."""') == []


def test_a_decorator_belongs_to_what_it_decorates() -> None:
    one, other = "@first\n@second(3)\ndef f():\n    return 1\n", "@third\nclass C:\n    pass\n"
    assert (
        sorted(statements(one + other))
        == sorted(statements(other + one))
        == sorted(statements(one) + statements(other))
    )


def test_every_class_that_comes_with_ser_has_a_digest_of_its_own() -> None:
    for registry in (EXTRACTORS, MODEL_TYPES):
        found = {name: code_digest(registry.get(name)) for name in registry.names()}
        assert len(set(found.values())) == len(found)
    assert all(len(code_digest(CORPORA.get(name))) == 16 for name in CORPORA.names())


def test_the_digest_of_an_extractor_follows_the_acoustics_and_not_the_steps() -> None:
    from ser import code_identity

    read: list[str] = []
    load = code_identity._load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_identity, "_load", lambda name: read.append(name) or load(name))
        code_identity._class_digest.__wrapped__(EXTRACTORS.get("Functionals"))
        code_identity._class_digest.__wrapped__(MODEL_TYPES.get("EnsembleClassifier"))
    assert {"ser.features.extractors.functionals", "ser.acoustics.descriptors", "ser.acoustics.pitch"} <= set(read)
    assert {"ser.models.ensemble_classifier", "ser.experts.ridge", "ser.experts.layers"} <= set(read)
    assert not set(read) & {*_STEPS, "ser.config", "ser.features.frontend"}


def test_the_steps_that_are_left_out_are_there() -> None:
    root = Path(__file__).parents[2]
    assert all((root / f"{name.replace('.', '/')}.py").is_file() for name in _STEPS)


TYPED = """class A:
    def f(self): return {}
    @property
    def g(self): return [x for x in 'ab' if x in {{'a', 'b'}}]
"""


def test_a_class_without_sources_is_told_by_what_it_does() -> None:
    def digest(value: int, seed: int) -> str:
        program = f"import sys\nexec({TYPED.format(value)!r})\nA.__module__ = 'typed'\n"
        program += "from ser.code_identity import code_digest; print(code_digest(A))"
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        ).stdout

    assert digest(1, seed=1) == digest(1, seed=2) != digest(2, seed=1)
