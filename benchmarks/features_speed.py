"""Features of a whole corpus: SER's extraction step against `librosa.feature.mfcc` in a loop, in one run.

    python -m benchmarks.features_speed --corpus emodb.zip

Both decode every file, divide it by its peak, cut it into pieces of the shortest clip's length, and compute 13
MFCC of each piece at the same settings. SER also checks each file's SHA-256, adds the one-hots and writes the
feature folder. The two take turns; the ratio is of each pair.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from ser.corpus_folder import Manifest
from ser.dataset import Dataset
from ser.features.mfcc import MFCCConfig
from ser.parallel import available_cores
from ser.request import FeatureConfig
from ser.steps.feature_extraction import extract_features, piece_length


def main() -> None:
    """Prints seconds of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = Dataset(folder / "data", arguments.corpus)
        manifest, corpus = dataset.prepare(), dataset.extract()
        _with_librosa(corpus, manifest, limit=3)  # compiles what librosa compiles, fills the disk cache
        ours, theirs = [], []
        for number in range(arguments.rounds):
            started = time.perf_counter()
            extract_features(corpus, folder / f"features-{number}", FeatureConfig())
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            _with_librosa(corpus, manifest)
            theirs.append(time.perf_counter() - started)
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    seconds = sum(clip.seconds for clip in manifest.clips)
    title = (
        f"{len(manifest.clips)} clips, {seconds / 60:.1f} minutes, {available_cores()} cores, {arguments.rounds} rounds"
    )
    table = Table("", "median", "least", "most", title=title, box=None)
    table.add_row("SER, extraction step (s)", *_row(ours))
    table.add_row("librosa.feature.mfcc in a loop (s)", *_row(theirs))
    table.add_row("times as fast", *_row(ratios))
    Console().print(table)


def _with_librosa(corpus: Path, manifest: Manifest, limit: int | None = None) -> None:
    config = MFCCConfig()
    length = piece_length("min", manifest.clips)
    for clip in manifest.clips[:limit]:
        samples, rate_hz = soundfile.read(corpus / clip.path, dtype="float32")
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
