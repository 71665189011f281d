"""What the results of a local run follow from beside their arguments: the corpus and the code, as they are now.

KFP's cache goes by the arguments, and by the paths of what earlier steps have made: that a zip has changed behind its
address, or a line of an extractor, it does not see.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import ser
import ser_components
from ser.corpora.corpora_file import sources_of
from ser.errors import DownloadError
from ser.evaluation.fold_file import read_fold_file
from ser.sources import Source
from ser.storage.strict_json import fingerprint


def state(remote_url: str, fold_file: str = "") -> str:
    """Sixteen hexadecimal digits: others once a corpus that the address leads to has changed, or the code of the steps.

    Args:
        remote_url: Of the corpus.
        fold_file: Of a file of folds, which counts too; empty if there is none.

    Raises:
        DownloadError: If there is no such file.
    """
    corpora = [(source.identity(), _version(source)) for source in sources_of(remote_url)]
    code = [code_digest(Path(str(package.__file__)).parent) for package in (ser, ser_components)]
    folds = read_fold_file(fold_file).digest if fold_file else ""
    return fingerprint({"corpora": corpora, "code": code, "folds": folds})[:16]


def _version(source: Source) -> dict[str, str] | None:
    """What its owner says of the version that there is now; where nobody answers, the download tells of it."""
    try:
        return source.version()
    except DownloadError:
        return None


def code_digest(package: Path) -> str:
    """Of every module below a folder, its name and what it says."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
