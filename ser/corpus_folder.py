"""A corpus on disk: a folder of audio files and the manifest of what they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pydantic

from ser import audio
from ser.corpora.base import identify
from ser.errors import CorpusError, DamagedError
from ser.features import About
from ser.files import fingerprint, read_json, write_json
from ser.parallel import ordered_map
from ser.progress import Progress, Reporter

AUDIO_FOLDER = "files"
"""The folder within a corpus folder that holds the archive's members."""
MANIFEST = "corpus.json"
"""The manifest's name within a corpus folder."""


class Clip(pydantic.BaseModel):
    """One recording of a corpus."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    """The file's name, unique in the corpus."""
    path: str
    """Relative to the corpus folder, with forward slashes."""
    speaker: str
    gender: str
    text: str
    emotion: str
    seconds: float
    num_samples: int
    """At `ser.audio.SAMPLE_RATE_HZ`, after mixing down and resampling."""
    sample_rate_hz: int
    """Of the file."""
    channels: int
    """Of the file."""
    sha256: str

    @property
    def about(self) -> About:
        """Who speaks and what is said."""
        return About(self.speaker, self.gender, self.text)


class Manifest(pydantic.BaseModel):
    """What a corpus folder holds."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    corpus: str
    """Registered name of the corpus whose naming the files follow."""
    source: str
    """Where it was first fetched from."""
    clips: tuple[Clip, ...]
    """Sorted by name."""

    @property
    def sha256(self) -> str:
        """Identifies names, labels and audio of the whole corpus."""
        return fingerprint(self.model_dump(exclude={"source"}))


def prepare(folder: Path, source: str, report: Reporter) -> Manifest:
    """Reads every audio file of a corpus folder and writes its manifest.

    Args:
        folder: The corpus folder.
        source: Where it came from, for reports.
        report: Told of each file.

    Raises:
        CorpusError: If the files are no known corpus, or two share a name.
        AudioError: If a file cannot be decoded, holds no samples, NaN or silence.
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in _audio_files(folder / AUDIO_FOLDER))
    corpus, utterances = identify(paths)
    repeated = [name for name, count in Counter(Path(path).name for path in paths).items() if count > 1]
    if repeated:
        raise CorpusError(f"expected each file name once, {repeated[0]!r} comes in several folders")
    clips = []
    read = ordered_map(partial(_inspect, folder), paths)
    for path, utterance, (recording, digest) in zip(paths, utterances, read, strict=True):
        clips.append(
            Clip(
                name=Path(path).name,
                path=path,
                speaker=utterance.speaker,
                gender=utterance.gender,
                text=utterance.text,
                emotion=utterance.emotion,
                seconds=recording.seconds,
                num_samples=len(recording.samples),
                sample_rate_hz=recording.source_rate_hz,
                channels=recording.source_channels,
                sha256=digest,
            )
        )
        report(Progress("prepare", len(clips), len(paths), "clips"))
    manifest = Manifest(corpus=corpus, source=source, clips=tuple(sorted(clips, key=lambda clip: clip.name)))
    write_json(folder / MANIFEST, manifest.model_dump())
    return manifest


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared corpus folder.

    Raises:
        DamagedError: If it is missing or is not what `prepare` wrote.
    """
    try:
        return Manifest.model_validate(read_json(folder / MANIFEST))
    except pydantic.ValidationError as error:
        raise DamagedError(f"{folder / MANIFEST} is not the manifest that was written there: {error}") from None


def read_clip(folder: Path, clip: Clip) -> audio.Samples:
    """Decodes a clip and holds it against the manifest.

    Returns:
        float32, shape (clip.num_samples,).

    Raises:
        DamagedError: If the file is missing or altered since it was prepared.
    """
    path = folder / clip.path
    data = path.read_bytes() if path.is_file() else None
    if data is None or _digest(data) != clip.sha256:
        state = "missing" if data is None else "altered since it was prepared"
        raise DamagedError(f"{path} is {state}; run again with force (dataset_force) to unpack the corpus anew")
    return audio.decode(data, name=clip.name).samples


def _inspect(folder: Path, path: str) -> tuple[audio.Recording, str]:
    data = (folder / path).read_bytes()
    return audio.decode(data, name=path.removeprefix(f"{AUDIO_FOLDER}/")), _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _audio_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        # macOS packs a shadow of each file into __MACOSX/._name.
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if path.suffix.lower() in audio.SUFFIXES and path.is_file():
            yield path
