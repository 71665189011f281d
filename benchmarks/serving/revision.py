"""The code of another commit, to be measured in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TRAIN = """
import sys
from pathlib import Path
from ser.dataset import Dataset
from ser.trainer import Trainer
folder = Path(sys.argv[1])
features = Dataset(folder / "data", "embedded:").feature_extract({"MFCC": {}})
print(Trainer("KerasDropoutClassifier", {"epochs": 20}).train(features, folder / "models").folder)
"""


@dataclass(frozen=True)
class Revision:
    """One state of the code."""

    name: str
    """What rows of the table are called by."""
    root: Path
    """Its checkout."""

    @property
    def environment(self) -> dict[str, str]:
        """Lets a Python import its code; its working directory must be `root` as well."""
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def train(self, folder: Path) -> Path:
        """Trains a model with its code, on the embedded corpus; gives the bundle's folder.

        Raises:
            RuntimeError: If that fails.
        """
        command = [sys.executable, "-c", _TRAIN, str(folder)]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr[-2_000:]}")
        return Path(done.stdout.strip().splitlines()[-1])

    def opens(self, bundle: Path) -> bool:
        """Whether its code can serve a bundle."""
        command = [sys.executable, "-c", "import sys; from ser.bundles.bundle import Bundle; from pathlib import Path; "
                   "Bundle(Path(sys.argv[1])).model", str(bundle)]  # fmt: skip
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, check=False)
        return done.returncode == 0


THIS = Revision("SER", ROOT)


@contextmanager
def checked_out(commit: str) -> Iterator[Revision]:
    """A commit in a temporary git worktree.

    Raises:
        RuntimeError: If there is no such commit.
    """
    with tempfile.TemporaryDirectory(prefix="revision-") as name:
        root = Path(name) / "code"
        short = _git("rev-parse", "--short", f"{commit}^{{commit}}")
        _git("worktree", "add", "--detach", str(root), short)
        try:
            yield Revision(short, root)
        finally:
            _git("worktree", "remove", "--force", str(root))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()
