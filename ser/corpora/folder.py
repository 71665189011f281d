"""A corpus on disk: a folder of audio files and the manifest of what they are.

The files of one corpus lie in `files/`, those of several in `files/<name>/` each.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pydantic

from ser.audio.recordings import SUFFIXES, Recording, Samples, decode
from ser.code_identity import code_digest
from ser.corpora.schemes.base import CORPORA, UNKNOWN, Utterance, identify, is_unknown
from ser.errors import CorpusError, DamagedError
from ser.features import About
from ser.parallel import ordered_map
from ser.progress import Progress, Reporter
from ser.storage.files import read_json, write_json
from ser.storage.stored_file import read_file
from ser.storage.strict_json import fingerprint

AUDIO_FOLDER = "files"
"""The folder within a corpus folder that holds the archives' members."""
MANIFEST = "corpus.json"
"""The manifest's name within a corpus folder."""
_LARGEST_CLIP_BYTES = 4 << 30


@dataclass(frozen=True)
class Part:
    """One corpus of those that a corpus folder holds."""

    name: str = ""
    """What it is called: the name of its folder in `files/`. Empty if it is the only one and lies in `files/`."""
    labels: Mapping[str, str | None] = field(default_factory=dict)
    """Its label to the one to learn; None leaves the recordings out. Labels that are not here stay."""

    def folder(self, corpus: Path) -> Path:
        """Where its files lie in a corpus folder."""
        return corpus / AUDIO_FOLDER / self.name

    def adapt(self, utterance: Utterance) -> Utterance | None:
        """An utterance with the label to learn, speaker and text told from those of other corpora; None to leave out.

        Unknown speakers are told from those of other corpora too (`ser.corpora.schemes.base.unknown_of`): whatever goes
        by the speaker, as folds, statistics of a voice or a bootstrap, must not take them for one person. A text that
        is unknown stays so.
        """
        label = self.labels.get(utterance.emotion, utterance.emotion)
        if label is None:
            return None
        speaker, text = utterance.speaker or UNKNOWN, utterance.text
        if self.name:
            speaker = f"{self.name}/{speaker}"
            text = text if is_unknown(text) else f"{self.name}/{text}"
        return replace(utterance, speaker=speaker, text=text, emotion=label)

    def check_labels(self, emotions: Sequence[str]) -> None:
        """Holds the mapping against the labels that occur.

        Raises:
            CorpusError: If it names one that does not.
        """
        strange = sorted(self.labels.keys() - set(emotions))
        if strange:
            has = ", ".join(sorted(set(emotions)))
            raise CorpusError(f"labels: {strange[0]!r} is no label of {self.name}, which has {has}")


WHOLE = (Part(),)
"""The parts of a corpus folder that holds one corpus, as it is."""


class Clip(pydantic.BaseModel):
    """One recording of a corpus."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    """The file's name; where another file has the same, its path below `files/`. Unique in the corpus folder."""
    path: str
    """Relative to the corpus folder, with forward slashes."""
    corpus: str
    """The name given to the corpus it is from; where there is one corpus without a name, the registered one."""
    speaker: str
    gender: str
    text: str
    emotion: str
    seconds: float
    num_samples: int
    """At `ser.audio.recordings.SAMPLE_RATE_HZ`, after mixing down and resampling."""
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
    """Registered name of the corpus whose naming the files follow; of several, their names with commas between."""
    source: str
    """Where it was first fetched from."""
    code: str
    """Which code said what the recordings are: `corpora_code` as it was."""
    clips: tuple[Clip, ...]
    """Sorted by name."""

    @property
    def sha256(self) -> str:
        """Identifies names, labels and audio of the whole corpus."""
        return fingerprint(self.model_dump(exclude={"source", "code"}))


def prepare(folder: Path, source: str, report: Reporter, parts: Sequence[Part] = WHOLE) -> Manifest:
    """Reads every audio file of a corpus folder and writes its manifest.

    Args:
        folder: The corpus folder.
        source: Where it came from, for reports.
        report: Told of each file.
        parts: The corpora in it.

    Raises:
        CorpusError: If the files are no known corpus, one comes twice, or a label is mapped that there is not.
        AudioError: If a file cannot be decoded, holds no samples, NaN or silence.
    """
    schemes, found = [], list[tuple[str, str, Utterance]]()
    for part in parts:
        scheme, utterances = _identify(folder, part)
        schemes.append(scheme)
        found += [(path, part.name or scheme, utterance) for path, utterance in utterances.items()]
    if not found:
        raise CorpusError("expected recordings, the mapping of the labels leaves out all of them")
    paths = [path for path, _, _ in found]
    names = clip_names(paths)
    clips = []
    read = ordered_map(partial(_inspect, folder), paths)
    for (path, corpus, utterance), (recording, digest) in zip(found, read, strict=True):
        clips.append(
            Clip(
                name=names[path],
                path=path,
                corpus=corpus,
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
    ordered = tuple(sorted(clips, key=lambda clip: clip.name))
    manifest = Manifest(corpus=", ".join(dict.fromkeys(schemes)), source=source, code=corpora_code(), clips=ordered)
    content = manifest.model_dump()
    write_json(folder / MANIFEST, {**content, "digest": fingerprint(content)})
    return manifest


def _identify(folder: Path, part: Part) -> tuple[str, dict[str, Utterance]]:
    """The scheme of a part, and the utterance of each path that is to be learnt, relative to the corpus folder."""
    here = audio_files(part.folder(folder))
    try:
        scheme, utterances = identify(part.folder(folder), here)
        part.check_labels([utterance.emotion for utterance in utterances])
    except CorpusError as error:
        raise CorpusError(f"{part.name}: {error}" if part.name else str(error)) from None
    repeated = repeated_names(here) if CORPORA.get(scheme).names_are_unique else []
    if repeated:
        raise CorpusError(f"expected each file name once, {repeated[0]!r} comes in several folders")
    prefix = part.folder(Path()).as_posix()
    adapted = {f"{prefix}/{path}": part.adapt(utterance) for path, utterance in zip(here, utterances, strict=True)}
    return scheme, {path: utterance for path, utterance in adapted.items() if utterance is not None}


def corpora_code() -> str:
    """A digest of the code that knows corpora: of another, recordings may be something else."""
    return fingerprint([code_digest(CORPORA.get(name)) for name in CORPORA.names()])[:16]


def repeated_names(paths: Sequence[str]) -> list[str]:
    """Names of files that several paths have."""
    return [name for name, count in Counter(Path(path).name for path in paths).items() if count > 1]


def clip_names(paths: Sequence[str]) -> dict[str, str]:
    """The name of each clip: its file's, or where several have that, its path below `files/`.

    Args:
        paths: Relative to the corpus folder.
    """
    repeated = set(repeated_names(paths))
    return {
        path: path.removeprefix(f"{AUDIO_FOLDER}/") if Path(path).name in repeated else Path(path).name
        for path in paths
    }


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared corpus folder.

    Raises:
        DamagedError: If it is missing or is not what `prepare` wrote.
    """
    content = read_json(folder / MANIFEST)
    digest = content.pop("digest", None) if isinstance(content, dict) else None
    if digest != fingerprint(content):
        raise DamagedError(
            f"{folder / MANIFEST} was altered since it was written; run again with force (dataset_force)"
        )
    try:
        return Manifest.model_validate(content)
    except pydantic.ValidationError as error:
        raise DamagedError(f"{folder / MANIFEST} is not the manifest that was written there: {error}") from None


def read_clip(folder: Path, clip: Clip) -> Samples:
    """Decodes a clip and holds it against the manifest.

    Returns:
        float32, shape (clip.num_samples,).

    Raises:
        DamagedError: If the file is missing or altered since it was prepared.
    """
    path = folder / clip.path
    try:
        data = read_file(path, at_most=_LARGEST_CLIP_BYTES)
        if _digest(data) != clip.sha256:
            raise DamagedError(f"{path} is altered since it was prepared")
    except DamagedError as error:
        raise DamagedError(f"{error}; run again with force (dataset_force) to unpack the corpus anew") from None
    return decode(data, name=clip.name).samples


def _inspect(folder: Path, path: str) -> tuple[Recording, str]:
    data = (folder / path).read_bytes()
    return decode(data, name=path.removeprefix(f"{AUDIO_FOLDER}/")), _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def audio_files(folder: Path) -> list[str]:
    """The paths of all recordings below a folder, relative to it, sorted."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        # macOS packs a shadow of each file into __MACOSX/._name.
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if path.suffix.lower() in SUFFIXES and path.is_file():
            found.append("/".join(parts))
    return sorted(found)
