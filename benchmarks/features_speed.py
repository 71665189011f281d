"""Features of a whole corpus: SER's extraction step against `librosa.feature.mfcc` in a loop, in one run.

    python -m benchmarks.features_speed --corpus emodb.zip

Both decode every file, divide it by its peak, cut it into pieces of the shortest clip's length, and compute 13
MFCC of each piece at the same settings. SER also checks each file's SHA-256, adds the one-hots and writes the
feature folder. The two take turns, each in a fresh process, so that neither meets the other's memory settings, and
each after three clips of its own: starting Python, importing and compiling on first use are outside. The ratio is of
each pair.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ser.corpora.folder import AUDIO_FOLDER, MANIFEST, Manifest, load_manifest
from ser.dataset import Dataset
from ser.features.extractors.mfcc import MFCCConfig
from ser.parallel import available_cores
from ser.request import FeatureConfig
from ser.steps.feature_extraction import extract_features, piece_length
from ser.storage.files import write_json

_FIRST_CLIPS = 3


def main() -> None:
    """Prints seconds of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        sys.stdout.write(json.dumps(_timed(arguments.child[0], Path(arguments.child[1]))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        dataset = Dataset(temporary, arguments.corpus)
        manifest, corpus = dataset.prepare(), dataset.extract()
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(_in_child("ser", corpus))
            theirs.append(_in_child("librosa", corpus))
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    minutes = sum(clip.seconds for clip in manifest.clips) / 60
    title = f"{len(manifest.clips)} clips, {minutes:.1f} minutes, {available_cores()} cores, {arguments.rounds} rounds"
    table = Table("", "median", "least", "most", title=title, box=None)
    table.add_row("SER, extraction step (s)", *_row(ours))
    table.add_row("librosa.feature.mfcc in a loop (s)", *_row(theirs))
    table.add_row("times as fast", *_row(ratios))
    Console().print(table)


def _in_child(which: str, corpus: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.features_speed", "--child", which, str(corpus)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _timed(which: str, corpus: Path) -> float:
    manifest = load_manifest(corpus)
    with tempfile.TemporaryDirectory() as folder:
        if which == "ser":
            extract_features(_first_clips(corpus, manifest, Path(folder)), Path(folder) / "first", FeatureConfig())
        else:
            _with_librosa(corpus, manifest, _FIRST_CLIPS)
        started = time.perf_counter()
        if which == "ser":
            extract_features(corpus, Path(folder) / "features", FeatureConfig())
        else:
            _with_librosa(corpus, manifest)
        return time.perf_counter() - started


def _first_clips(corpus: Path, manifest: Manifest, folder: Path) -> Path:
    """A corpus folder of the first clips only."""
    first = folder / "corpus"
    first.mkdir()
    (first / AUDIO_FOLDER).symlink_to((corpus / AUDIO_FOLDER).resolve())
    write_json(first / MANIFEST, manifest.model_copy(update={"clips": manifest.clips[:_FIRST_CLIPS]}).model_dump())
    return first


def _with_librosa(corpus: Path, manifest: Manifest, limit: int | None = None) -> None:
    import librosa

    config = MFCCConfig()
    length = piece_length("min", manifest.clips)
    for clip in manifest.clips[:limit]:
        samples, rate_hz = librosa.load(corpus / clip.path, sr=None)
        samples /= np.abs(samples).max()
        for start in range(0, len(samples), length):
            piece = samples[start : start + length]
            librosa.feature.mfcc(
                y=np.pad(piece, (0, length - len(piece))),
                sr=rate_hz,
                n_mfcc=config.num_cepstral,
                n_fft=config.fft_length,
                hop_length=config.hop_samples,
                win_length=config.window_samples,
                n_mels=config.num_filters,
            )


def _row(values: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}"


if __name__ == "__main__":
    main()
