"""Feature extraction: a corpus folder in, a feature folder out."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import Samples
from ser.audio.virtual_speakers import virtual_speaker
from ser.code_identity import code_digest
from ser.corpora.folder import Clip, Manifest, load_manifest, read_clip
from ser.errors import ConfigError, DamagedError, FieldViolation
from ser.features import EXTRACTORS
from ser.features.feature_set import TABLE, FeatureSet, Sample, sample_table, samples_of
from ser.features.frontend import FrontEnd, num_pieces
from ser.formats import FEATURES_FORMAT
from ser.parallel import keep_freed_memory, ordered_map
from ser.progress import Progress, Reporter, silent
from ser.request import FeatureConfig
from ser.storage.arrays import check_arrays, load_arrays, map_rows, save_arrays
from ser.storage.files import make_folder, read_json, write_json
from ser.storage.stamps import check_folder

ROWS = "rows.npy"
VIRTUAL = "virtual.npy"
SAMPLES = "samples.npz"
FRONTEND = "frontend.npz"
SETTINGS = "features.json"
_BATCH_SECONDS = 20.0
_COPY_BYTES = 16 << 20


def extract_features(
    corpus: Path, features: Path, config: FeatureConfig, *, force: bool = False, report: Reporter = silent
) -> None:
    """Computes the features of a whole corpus; does nothing when they are there already.

    Clips are decoded, cut and transformed on all cores and written in order as they come, so memory does not
    grow with the corpus.

    Args:
        corpus: A prepared corpus folder.
        features: The feature folder to make.
        config: How to load and which methods to use.
        force: Compute them again although they are there.
        report: Told of each clip.

    Raises:
        ConfigError: If a method's config cannot be realised.
        DamagedError: If the corpus folder is not what was prepared.
    """
    manifest = load_manifest(corpus)
    make_folder(
        features,
        feature_identity(manifest, config),
        partial(_write, corpus, manifest, config, report),
        force=force,
    )


def extract_part(
    corpus: Path,
    part: Path,
    config: FeatureConfig,
    number: int,
    of: int,
    *,
    force: bool = False,
    report: Reporter = silent,
) -> None:
    """Computes the features of one part of a corpus, by the front-end of the whole: a feature folder of its own.

    Args:
        corpus: A prepared corpus folder, the whole.
        part: The part's feature folder to make.
        config: How to load and which methods to use.
        number: Which part, from 0.
        of: How many parts there are; they differ by 20 seconds of sound at most.
        force: Compute them again although they are there.
        report: Told of each clip.

    Raises:
        ConfigError: If a method's config cannot be realised, or there is no such part.
        DamagedError: If the corpus folder is not what was prepared.
    """
    manifest = load_manifest(corpus)
    # A batch of the whole stays one: the last bit of a feature depends on what is multiplied together with it.
    batches = list(_batches(manifest.clips))
    if not 0 <= number < of <= len(batches):
        allowed = f"expected 0 to {of - 1} of at most {len(batches)} parts ({_BATCH_SECONDS:g} seconds of sound each)"
        raise ConfigError([FieldViolation("part", f"{allowed}, got {number} of {of}")])
    first, last = (edge * len(batches) // of for edge in (number, number + 1))
    clips = [clip for batch in batches[first:last] for clip in batch]
    make_folder(
        part,
        {**feature_identity(manifest, config), "part": number, "of": of},
        partial(_write, corpus, manifest, config, report, clips=clips),
        force=force,
    )


def join_parts(parts: Sequence[Path], features: Path, *, force: bool = False) -> None:
    """Makes the feature folder of the whole of the folders of all its parts: the same, byte for byte.

    Rows go from file to file and are never in memory.

    Args:
        parts: What `extract_part` made, in any order.
        features: The feature folder to make.
        force: Make it again although it is there.

    Raises:
        DamagedError: If a part is missing, comes twice, or is of other features.
    """
    made_from = [check_folder(part).made_from for part in parts]
    if any(not isinstance(one.get("part"), int) for one in made_from):
        raise DamagedError("expected parts of features, got other folders")
    ordered = [part for _, part in sorted(zip(made_from, parts, strict=True), key=lambda pair: int(pair[0]["part"]))]
    identities = [{name: value for name, value in one.items() if name != "part"} for one in made_from]
    numbers = sorted(one["part"] for one in made_from)
    if not parts or any(one != identities[0] for one in identities) or numbers != list(range(identities[0]["of"])):
        raise DamagedError(f"expected every part of one corpus's features once, got parts {numbers}")
    whole = {name: value for name, value in identities[0].items() if name != "of"}
    make_folder(features, whole, partial(_join, ordered), force=force)


def feature_identity(manifest: Manifest, config: FeatureConfig) -> dict[str, Any]:
    """All that a feature folder follows from, as JSON."""
    return {
        "format": FEATURES_FORMAT,
        "code": {name: code_digest(EXTRACTORS.get(name)) for name in config.dataset_feature_extract_methods},
        "corpus": manifest.sha256,
        "config": feature_settings(config),
    }


def feature_settings(config: FeatureConfig) -> dict[str, Any]:
    """The part of a request that features follow from, as JSON, under the request's names."""
    return config.model_dump(include=set(FeatureConfig.model_fields))


def load_features(folder: Path) -> FeatureSet:
    """The feature set of a feature folder, its rows memory-mapped.

    Every file is held against its digest: rows are read once for that, a process and folder.

    Raises:
        DamagedError: If a file is missing or altered.
    """
    written = check_folder(folder).files
    rows, virtual = (map_rows(folder / name) if name in written else None for name in (ROWS, VIRTUAL))
    if rows is None:
        raise DamagedError(f"{folder / ROWS} is missing")
    table = load_arrays(folder / SAMPLES)
    check_arrays(table, TABLE, str(folder / SAMPLES))
    try:
        return FeatureSet(rows, samples_of(table), virtual)
    except (ValueError, IndexError) as error:
        raise DamagedError(f"{folder} is not the feature folder that was written there: {error}") from None


def load_frontend(folder: Path) -> FrontEnd:
    """The front-end that made a feature folder.

    Raises:
        DamagedError: If its arrays or settings are missing or altered.
    """
    check_folder(folder)
    return FrontEnd.load(folder / FRONTEND, read_json(folder / SETTINGS)["frontend"])


def piece_length(split_at: str | int, clips: Sequence[Clip]) -> int:
    """The length of a piece in samples that `dataset_load_split_at` means for these clips."""
    lengths = [clip.num_samples for clip in clips]
    match split_at:
        case "min":
            return min(lengths)
        case "max":
            return max(lengths)
        case "avg":
            return round(sum(lengths) / len(lengths))
        case _:
            return int(split_at)


def _write(
    corpus: Path,
    manifest: Manifest,
    config: FeatureConfig,
    report: Reporter,
    folder: Path,
    *,
    clips: Sequence[Clip] | None = None,
) -> None:
    frontend = FrontEnd.create(
        piece_length(config.dataset_load_split_at, manifest.clips),
        config.dataset_feature_extract_methods,
        [clip.about for clip in manifest.clips],
        normalize=config.dataset_load_normalize,
    )
    clips = manifest.clips if clips is None else clips
    samples = [_sample(clip, frontend) for clip in clips]
    num_rows, voices = sum(sample.pieces for sample in samples), config.dataset_virtual_speakers
    with contextlib.ExitStack() as stack:
        file = stack.enter_context((folder / ROWS).open("wb"))
        _write_header(file, (num_rows, frontend.num_features))
        virtual = stack.enter_context((folder / VIRTUAL).open("wb")) if voices else None
        if virtual:
            _write_header(virtual, (num_rows, voices, frontend.num_features))
        done = 0
        for count, rows in _transform(corpus, clips, frontend, voices):
            file.write(np.ascontiguousarray(rows[:, 0], dtype="<f4").data)
            if virtual:
                virtual.write(np.ascontiguousarray(rows[:, 1:], dtype="<f4").data)
            done += count
            report(Progress("features", done, len(clips), "clips"))
    save_arrays(folder / SAMPLES, sample_table(samples))
    frontend.save(folder / FRONTEND)
    write_json(
        folder / SETTINGS,
        {
            "corpus": manifest.corpus,
            "source": manifest.source,
            "corpus_sha256": manifest.sha256,
            "config": feature_settings(config),
            "frontend": frontend.settings(),
        },
    )


def _join(parts: Sequence[Path], folder: Path) -> None:
    sets = [load_features(part) for part in parts]
    for name, arrays in ((ROWS, [one.rows for one in sets]), (VIRTUAL, [one.virtual for one in sets])):
        if arrays[0] is None:
            continue
        with (folder / name).open("wb") as file:
            _write_header(file, (sum(len(array) for array in arrays if array is not None), *arrays[0].shape[1:]))
            for part, array in zip(parts, arrays, strict=True):
                with (part / name).open("rb") as rows:
                    rows.seek(-array.nbytes if array is not None else 0, os.SEEK_END)
                    shutil.copyfileobj(rows, file, _COPY_BYTES)
    save_arrays(folder / SAMPLES, sample_table([sample for one in sets for sample in one.samples]))
    for name in (FRONTEND, SETTINGS):
        shutil.copyfile(parts[0] / name, folder / name)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _sample(clip: Clip, frontend: FrontEnd) -> Sample:
    pieces = num_pieces(clip.num_samples, frontend.piece_samples)
    return Sample(clip.name, clip.speaker, clip.gender, clip.text, clip.emotion, clip.seconds, pieces, clip.corpus)


def _transform(
    corpus: Path, clips: Sequence[Clip], frontend: FrontEnd, voices: int
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Batch by batch, how many clips it has and their rows: of themselves, then of each virtual speaker.

    Rows are float32, shape (n_pieces, 1 + voices, n_features).
    """

    def transform(batch: Sequence[Clip]) -> tuple[int, npt.NDArray[np.float32]]:
        recordings = [read_clip(corpus, clip) for clip in batch]
        about = [clip.about for clip in batch]
        rows = [frontend.transform_all(list(zip(recordings, about, strict=True)))]
        for number in range(voices):
            spoken = [
                _fitted(virtual_speaker(samples, number, clip.name), num_pieces(len(samples), frontend.piece_samples))
                for samples, clip in zip(recordings, batch, strict=True)
            ]
            rows.append(frontend.transform_all(list(zip(spoken, about, strict=True))))
        return len(batch), np.stack(rows, axis=1)

    def _fitted(samples: Samples, pieces: int) -> Samples:
        """A clip that has become longer or shorter, with as many pieces as it had."""
        length = (pieces - 1) * frontend.piece_samples
        return np.pad(samples[: length + frontend.piece_samples], (0, max(0, length + 1 - len(samples))))

    keep_freed_memory()
    return ordered_map(transform, _batches(clips))


def _batches(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Neighbouring clips of some seconds together: the fewer calls, the less threads wait for each other."""
    batch: list[Clip] = []
    for clip in clips:
        batch.append(clip)
        if sum(one.seconds for one in batch) >= _BATCH_SECONDS:
            yield batch
            batch = []
    if batch:
        yield batch
