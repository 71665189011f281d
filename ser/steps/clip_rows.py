"""Clips into rows of features, batch by batch, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import Samples
from ser.audio.virtual_speakers import virtual_speaker
from ser.corpora.folder import Clip, read_clip
from ser.features.frontend import FrontEnd, num_pieces
from ser.parallel import keep_freed_memory, ordered_map
from ser.steps.known_clips import KnownClips

BATCH_SECONDS = 20.0
"""How much sound a batch has, at least."""


def rows_of(
    corpus: Path, batches: Sequence[Sequence[Clip]], frontend: FrontEnd, voices: int, known: KnownClips
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Batch by batch, how many clips it has and their rows: of themselves, then of each virtual speaker.

    Args:
        corpus: The corpus folder.
        batches: The clips; the last bit of a feature may depend on what is in a batch with it.
        frontend: What makes the features.
        voices: How many virtual speakers say each clip as well.
        known: What need not be computed. A clip of which all is known is not decoded.

    Yields:
        The number of clips, and float32, shape (n_pieces, 1 + voices, n_features).
    """
    # One extractor each: what one has of a clip, another may not have.
    alone = [
        FrontEnd(frontend.piece_samples, normalize=frontend.normalize, extractors={name: extractor})
        for name, extractor in frontend.extractors.items()
    ]

    def transform(batch: Sequence[Clip]) -> tuple[int, npt.NDArray[np.float32]]:
        counts = [num_pieces(clip.num_samples, frontend.piece_samples) for clip in batch]
        ends = np.cumsum(counts)
        rows = np.empty((ends[-1], 1 + voices, frontend.num_features), dtype=np.float32)

        @cache
        def spoken(number: int) -> list[Samples]:
            """A clip by itself, then by each virtual speaker, with as many pieces as it has."""
            clip = batch[number]
            samples = read_clip(corpus, clip)
            others = (virtual_speaker(samples, voice, clip.name) for voice in range(voices))
            return [samples, *(_fitted(other, counts[number], frontend.piece_samples) for other in others)]

        for block, own in zip(frontend.blocks, alone, strict=True):
            unknown = []
            for number, clip in enumerate(batch):
                found = known.get(block.name, clip)
                if found is None:
                    unknown.append(number)
                else:
                    rows[ends[number] - 1, :, block.start : block.stop] = found
            if unknown:
                places = np.concatenate([np.arange(ends[number] - counts[number], ends[number]) for number in unknown])
                for voice in range(1 + voices):
                    heard = [(spoken(number)[voice], batch[number].about) for number in unknown]
                    rows[places, voice, block.start : block.stop] = own.transform_all(heard)
        return len(batch), rows

    keep_freed_memory()
    return ordered_map(transform, batches)


def batches_of(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Neighbouring clips of some seconds together: the fewer calls, the less threads wait for each other."""
    batch: list[Clip] = []
    for clip in clips:
        batch.append(clip)
        if sum(one.seconds for one in batch) >= BATCH_SECONDS:
            yield batch
            batch = []
    if batch:
        yield batch


def _fitted(samples: Samples, pieces: int, piece_samples: int) -> Samples:
    """A clip that has become longer or shorter, with as many pieces as it had."""
    length = (pieces - 1) * piece_samples
    return np.pad(samples[: length + piece_samples], (0, max(0, length + 1 - len(samples))))
