"""Download: an address in, a prepared corpus folder out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ser.corpora.stages import CorpusStages
from ser.progress import Reporter, silent
from ser.request import DownloadConfig
from ser.storage.files import make_folder
from ser.storage.stamps import STAMP, read_stamp


def download(config: DownloadConfig, corpus: Path, *, report: Reporter = silent) -> None:
    """Fetches, unpacks and checks a corpus, and puts it into a folder.

    `config.data_path` keeps the zip and the unpacked corpus, so that another run does not fetch it again.

    Args:
        config: Source and cache folder; `dataset_force` redoes every stage.
        corpus: The corpus folder to make. Files are hard links into `data_path` where both are on one file
            system, copies otherwise.
        report: Told of the progress.

    Raises:
        ConfigError: If `remote_url` is of no known form.
        DownloadError: If the source cannot be had whole.
        ArchiveError: If it is no zip, or one that must not be unpacked.
        LimitError: If it is too large.
        CorpusError: If the files are no known corpus.
        AudioError: If a file cannot be used.
    """
    force = config.dataset_force
    stages = CorpusStages(config.data_path, config.remote_url, report=report)
    stages.download(force=force)
    source = stages.extract(force=force)
    manifest = stages.prepare(force=force)

    def copy(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=_link, ignore=shutil.ignore_patterns(STAMP))

    stamp = read_stamp(source)
    made_from = {**(stamp.made_from if stamp else {}), "corpus": manifest.sha256}
    make_folder(corpus, made_from, copy, force=force, digests=False)  # corpus.json has those of the clips


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
