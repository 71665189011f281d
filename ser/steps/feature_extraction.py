"""Feature extraction: a corpus folder in, a feature folder out."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ser.code_identity import code_digest
from ser.corpora.folder import Clip, Manifest, load_manifest
from ser.encoders.catalogue import OnnxRecord
from ser.encoders.storage import check_encoder
from ser.errors import ConfigError, DamagedError, FieldViolation, SerError
from ser.extras import require
from ser.features import EXTRACTORS
from ser.features.feature_set import TABLE, FeatureSet, Sample, sample_table, samples_of
from ser.features.frontend import FrontEnd, num_pieces
from ser.formats import FEATURES_FORMAT
from ser.progress import Progress, Reporter, silent
from ser.request import FeatureConfig
from ser.steps.clip_rows import BATCH_SECONDS, batches_of, rows_of
from ser.steps.known_clips import KnownClips
from ser.steps.unfinished import UnfinishedRows, remove_unfinished, sweep_unfinished
from ser.storage.arrays import check_arrays, load_arrays, map_rows, save_arrays
from ser.storage.files import make_folder, read_json, write_json
from ser.storage.stamps import check_folder, read_stamp
from ser.storage.strict_json import fingerprint

ROWS = "rows.npy"
VIRTUAL = "virtual.npy"
SAMPLES = "samples.npz"
CLIPS = "clips.json"
"""The SHA-256 of each clip's file, in the order of the samples."""
FRONTEND = "frontend.npz"
SETTINGS = "features.json"
_COPY_BYTES = 16 << 20


def extract_features(
    corpus: Path, features: Path, config: FeatureConfig, *, force: bool = False, report: Reporter = silent
) -> None:
    """Computes the features of a whole corpus; does nothing when they are there already.

    Clips are decoded, cut and transformed on all cores and written in order as they come, so memory does not
    grow with the corpus. What an extraction that was killed has written is not computed again (`ser.steps.unfinished`),
    nor what another feature folder beside this one has of a clip, by extractors of whole clips
    (`ser.steps.known_clips`), unless forced.

    Args:
        corpus: A prepared corpus folder.
        features: The feature folder to make.
        config: How to load and which methods to use.
        force: Compute them again although they are there.
        report: Told of each clip.

    Raises:
        MissingEncoderError: If an encoder that a method extracts by is not on this machine.
        ConfigError: If a method's config cannot be realised.
        DamagedError: If the corpus folder is not what was prepared.
    """
    check_encoders(config)
    manifest = load_manifest(corpus)
    _make(corpus, manifest, features, config, feature_identity(manifest, config), manifest.clips, report, force=force)


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
        MissingEncoderError: If an encoder that a method extracts by is not on this machine.
        ConfigError: If a method's config cannot be realised, or there is no such part.
        DamagedError: If the corpus folder is not what was prepared.
    """
    check_encoders(config)
    manifest = load_manifest(corpus)
    # A batch of the whole stays one: the last bit of a feature depends on what is multiplied together with it.
    batches = list(batches_of(manifest.clips))
    if not 0 <= number < of <= len(batches):
        allowed = f"expected 0 to {of - 1} of at most {len(batches)} parts ({BATCH_SECONDS:g} seconds of sound each)"
        raise ConfigError([FieldViolation("part", f"{allowed}, got {number} of {of}")])
    first, last = (edge * len(batches) // of for edge in (number, number + 1))
    clips = [clip for batch in batches[first:last] for clip in batch]
    made_from = {**feature_identity(manifest, config), "part": number, "of": of}
    _make(corpus, manifest, part, config, made_from, clips, report, force=force)


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


def check_encoders(config: FeatureConfig) -> None:
    """Checks that the pretrained encoders of the methods can be used here, before work begins that wants them.

    Raises:
        MissingEncoderError: If one is not on this machine; the message has the command that brings it.
        MissingExtraError: If one is an ONNX file, and ONNX Runtime is not installed.
        DamagedError: If one is altered.
    """
    for name, settings in config.dataset_feature_extract_methods.items():
        for record in EXTRACTORS.get(name).encoders(settings):
            check_encoder(record)
            if isinstance(record, OnnxRecord):
                require("an ONNX encoder", "onnx")


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


def _make(
    corpus: Path,
    manifest: Manifest,
    features: Path,
    config: FeatureConfig,
    made_from: Mapping[str, Any],
    clips: Sequence[Clip],
    report: Reporter,
    *,
    force: bool,
) -> None:
    """Makes the feature folder of some clips of a corpus."""
    sweep_unfinished(features.parent)
    if force:
        remove_unfinished(features)

    beside = [] if force else [folder for folder in sorted(features.parent.glob("[!.]*")) if folder != features]
    unfinished = partial(UnfinishedRows, features, fingerprint(made_from))

    def write(folder: Path) -> None:
        _write(corpus, manifest, config, clips, beside, unfinished, report, folder)

    make_folder(features, made_from, write, force=force)
    remove_unfinished(features)


def _write(
    corpus: Path,
    manifest: Manifest,
    config: FeatureConfig,
    clips: Sequence[Clip],
    beside: Sequence[Path],
    unfinished: Callable[[Mapping[str, tuple[int, ...]]], UnfinishedRows],
    report: Reporter,
    folder: Path,
) -> None:
    frontend = FrontEnd.create(
        piece_length(config.dataset_load_split_at, manifest.clips),
        config.dataset_feature_extract_methods,
        [clip.about for clip in manifest.clips],
        normalize=config.dataset_load_normalize,
    )
    samples = [_sample(clip, frontend) for clip in clips]
    num_rows, voices = sum(sample.pieces for sample in samples), config.dataset_virtual_speakers
    shapes: dict[str, tuple[int, ...]] = {ROWS: (num_rows, frontend.num_features)}
    if voices:
        shapes[VIRTUAL] = (num_rows, voices, frontend.num_features)
    batches = list(batches_of(clips))
    known = _known_clips(beside, config, frontend)
    with unfinished(shapes) as written:
        done = sum(map(len, batches[: written.batches]))
        for count, rows in rows_of(corpus, batches[written.batches :], frontend, voices, known):
            written.add([rows[:, 0], rows[:, 1:]][: len(shapes)])
            done += count
            report(Progress("features", done, len(clips), "clips"))
        written.link_into(folder)
    save_arrays(folder / SAMPLES, sample_table(samples))
    write_json(folder / CLIPS, [clip.sha256 for clip in clips])
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
    write_json(folder / CLIPS, [digest for part in parts for digest in read_json(part / CLIPS)])
    for name in (FRONTEND, SETTINGS):
        shutil.copyfile(parts[0] / name, folder / name)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _sample(clip: Clip, frontend: FrontEnd) -> Sample:
    pieces = num_pieces(clip.num_samples, frontend.piece_samples)
    return Sample(clip.name, clip.speaker, clip.gender, clip.text, clip.emotion, clip.seconds, pieces, clip.corpus)


def _known_clips(folders: Sequence[Path], config: FeatureConfig, frontend: FrontEnd) -> KnownClips:
    """What whole feature folders have of clips, by extractors of whole clips that are as they are now."""
    known = KnownClips(config.dataset_virtual_speakers)
    methods = [name for name in config.dataset_feature_extract_methods if EXTRACTORS.get(name).whole_clips]
    for folder in folders if methods else ():
        with contextlib.suppress(SerError, OSError):  # of another version, damaged, or being removed: not known
            stamp = read_stamp(folder)
            if stamp is None or stamp.made_from.get("format") != FEATURES_FORMAT or CLIPS not in stamp.files:
                continue
            wanted = [name for name in methods if _alike(name, stamp.made_from, config)]
            if wanted:
                features, theirs, digests = load_features(folder), load_frontend(folder), read_json(folder / CLIPS)
                for block in theirs.blocks:
                    if block.name in wanted and _same_arrays(frontend, theirs, block.name):
                        known.add(block.name, features, slice(block.start, block.stop), digests)
    return known


def _alike(name: str, made_from: Mapping[str, Any], config: FeatureConfig) -> bool:
    """Whether an extractor has the code, the config and the loudness that a feature folder was made with."""
    theirs, ours = made_from["config"], feature_settings(config)
    return bool(
        made_from["code"].get(name) == code_digest(EXTRACTORS.get(name))
        and theirs["dataset_load_normalize"] == ours["dataset_load_normalize"]
        and theirs["dataset_feature_extract_methods"][name] == ours["dataset_feature_extract_methods"][name]
    )


def _same_arrays(one: FrontEnd, other: FrontEnd, name: str) -> bool:
    ours, theirs = (frontend.extractors[name].arrays for frontend in (one, other))
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[key], theirs[key]) for key in ours)
