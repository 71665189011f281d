"""What is known of a voice, and how a model is told: statistics of a speaker's unlabelled clips.

How somebody speaks at all, high or low, fast or slow, differs more between speakers than between emotions of one.
A model that adapts reads, beside the features of a clip, a *profile*: the mean and deviation of the speaker's own
features, shrunk towards those of the training speakers the more, the fewer clips are known (the posterior mean under
a conjugate prior; Gauvain and Lee, 1994). How much the mean of a feature is shrunk the training speakers tell: little
where they differ from each other by more than the clips of one do (empirical Bayes; Efron and Morris, 1975). No label
is needed. Of a stranger the profile is zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from ser.errors import DamagedError
from ser.storage.arrays import Expected, check_arrays, load_arrays, save_arrays

Vector = npt.NDArray[np.float64]

PRIOR_CLIPS_OF_MEAN = 2.0
"""How many clips of the speaker weigh as much as what is known of all speakers, for the mean, where nothing tells."""
PRIOR_CLIPS_OF_DEVIATION = 10.0
"""The same for the deviation, which takes more clips to know."""
_FEWEST_PRIOR_CLIPS, _MOST_PRIOR_CLIPS = 0.5, 10.0
"""Training speakers are few, and tell no more than roughly how much speakers differ."""
_SMALLEST_DEVIATION = 1e-6
MOST_CLIPS = 1_000_000_000
"""Clips of one speaker; more are a mistake, and no number of Protobuf's int32 any more."""
_COLUMNS = ("clips", "weight", "total", "squares")
_OF_ALL = ("mean", "deviation", "per_clip", "prior_clips")


@dataclass(frozen=True)
class SpeakerStatistics:
    """Sums over clips of one speaker; those of more clips are added.

    What is summed each feature extractor says: of features that are one number a clip, the number; of frames, each
    channel over all frames.
    """

    clips: int
    """How many clips, at least 1."""
    weight: Vector
    """float64, shape (n_statistics,): how many values were summed."""
    total: Vector
    """float64, shape (n_statistics,): the values' sum."""
    squares: Vector
    """float64, shape (n_statistics,): the sum of their squares."""

    def __add__(self, other: SpeakerStatistics) -> SpeakerStatistics:
        return SpeakerStatistics(
            self.clips + other.clips,
            self.weight + other.weight,
            self.total + other.total,
            self.squares + other.squares,
        )

    @property
    def mean(self) -> Vector:
        """float64, shape (n_statistics,); 0 where nothing was summed."""
        return self.total / np.maximum(self.weight, 1e-12)

    @property
    def variance(self) -> Vector:
        """float64, shape (n_statistics,)."""
        return np.maximum(self.squares / np.maximum(self.weight, 1e-12) - np.square(self.mean), 0)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, to be saved."""
        return {
            "clips": np.array(self.clips), "weight": self.weight, "total": self.total, "squares": self.squares
        }  # fmt: skip

    @staticmethod
    def array_schema(width: int) -> dict[str, Expected]:
        """What `arrays` has, of sums over this many features."""
        return {"clips": Expected("int64", ()), **dict.fromkeys(_COLUMNS[1:], Expected("float64", (width,)))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`, of arrays of the right dtypes and shapes.

        Raises:
            ValueError: If they cannot be sums over clips.
        """
        clips, weight, total, squares = (arrays[name] for name in _COLUMNS)
        if not 1 <= int(clips) <= MOST_CLIPS or weight.min(initial=0) < 0 or squares.min(initial=0) < 0:
            raise ValueError(f"expected sums over 1 to {MOST_CLIPS} clips, got other numbers")
        return cls(int(clips), weight, total, squares)


@dataclass(frozen=True)
class SpeakerAdaptation:
    """What turns statistics of a speaker into the profile that a model reads."""

    mean: Vector
    """float64, shape (n_statistics,): of the training speakers together."""
    deviation: Vector
    """float64, shape (n_statistics,): within a training speaker, on average."""
    per_clip: Vector
    """float64, shape (n_statistics,): values that a clip adds on average."""
    prior_clips: Vector
    """float64, shape (n_statistics,): how many clips weigh as much as the mean of the training speakers."""
    known: Mapping[str, SpeakerStatistics]
    """The training speakers."""

    @classmethod
    def fit(cls, clips: Iterable[tuple[str, SpeakerStatistics]]) -> Self:
        """From the training speakers.

        Args:
            clips: At least one: who speaks, and the statistics of one clip. They are added up as they come.
        """
        known: dict[str, SpeakerStatistics] = {}
        means: dict[str, SpeakerStatistics] = {}
        for speaker, clip in clips:
            known[speaker] = together(clip, known.get(speaker))
            mean = SpeakerStatistics(1, np.ones_like(clip.mean), clip.mean, np.square(clip.mean))
            means[speaker] = together(mean, means.get(speaker))
        speakers = list(known.values())
        number = sum(speaker.clips for speaker in speakers)
        weight = np.sum([speaker.weight for speaker in speakers], axis=0)
        mean = np.sum([speaker.total for speaker in speakers], axis=0) / np.maximum(weight, 1e-12)
        variance = np.mean([speaker.variance for speaker in speakers], axis=0)
        return cls(mean, np.sqrt(variance), weight / number, _prior_clips(list(means.values())), known)

    @property
    def num_columns(self) -> int:
        """Length of a profile."""
        return 2 * len(self.mean) + 1

    def profile(self, speaker: SpeakerStatistics | None) -> npt.NDArray[np.float32]:
        """What a model is told of a speaker.

        Args:
            speaker: Statistics of clips of that speaker; None of a stranger.

        Returns:
            float32, shape (num_columns,): mean, 1 / deviation (0 for a feature that does not vary), and the number of
            clips; all 0 for a stranger.
        """
        if speaker is None:
            return np.zeros(self.num_columns, dtype=np.float32)
        prior = self.prior_clips * self.per_clip
        mean = (speaker.total + prior * self.mean) / np.maximum(speaker.weight + prior, 1e-12)
        around = speaker.squares - 2 * mean * speaker.total + speaker.weight * np.square(mean)
        prior = PRIOR_CLIPS_OF_DEVIATION * self.per_clip
        variance = (np.maximum(around, 0) + prior * np.square(self.deviation)) / np.maximum(
            speaker.weight + prior, 1e-12
        )
        deviation = np.sqrt(variance)
        constant = self.deviation <= _SMALLEST_DEVIATION * np.maximum(np.abs(self.mean), 1)
        inverse = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
        return np.concatenate([mean, inverse, [speaker.clips]]).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes it to an .npz file."""
        names = sorted(self.known)
        columns = {key: np.stack([self.known[name].arrays()[key] for name in names]) for key in _COLUMNS}
        save_arrays(
            path,
            {
                "mean": self.mean,
                "deviation": self.deviation,
                "per_clip": self.per_clip,
                "prior_clips": self.prior_clips,
                "speakers": np.array(names, dtype=np.str_),
                **columns,
            },
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DamagedError: If it is missing or something else.
        """
        return cls.from_arrays(load_arrays(path), str(path))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], where: str) -> Self:
        """As `load`, of the file's arrays.

        Args:
            arrays: By name.
            where: What to call the file in an error.

        Raises:
            DamagedError: If they are something else.
        """
        names, width = (
            len(arrays[name]) if name in arrays and arrays[name].ndim else None for name in ("speakers", "mean")
        )
        vector, table = Expected("float64", (width,)), Expected("float64", (names, width))
        if "prior_clips" not in arrays:  # of a version that shrank all features alike
            arrays = {**arrays, "prior_clips": np.full(width or 0, PRIOR_CLIPS_OF_MEAN)}
        schema = {**dict.fromkeys(_OF_ALL, vector), "speakers": Expected("str", (names,))}
        schema |= {"clips": Expected("int64", (names,)), **dict.fromkeys(_COLUMNS[1:], table)}
        check_arrays(arrays, schema, where)
        if min(arrays[name].min(initial=0) for name in _OF_ALL[1:]) < 0:
            raise DamagedError(f"{where}: expected {', '.join(_OF_ALL[1:])} that are not negative")
        try:
            known = {
                name: SpeakerStatistics.from_arrays({key: arrays[key][number] for key in _COLUMNS})
                for number, name in enumerate(arrays["speakers"].tolist())
            }
        except ValueError as error:
            raise DamagedError(f"{where} has no statistics of speakers: {error}") from None
        return cls(arrays["mean"], arrays["deviation"], arrays["per_clip"], arrays["prior_clips"], known)


def _prior_clips(speakers: Sequence[SpeakerStatistics]) -> Vector:
    """Variance among clips of a speaker, by that among speakers: how many clips' mean is as sure as a stranger's.

    Args:
        speakers: Of each training speaker, sums over the clips' means.
    """
    counts = np.array([speaker.weight[0] for speaker in speakers])
    middle = np.array([speaker.mean for speaker in speakers])
    within = sum((speaker.variance * speaker.weight for speaker in speakers), np.zeros(middle.shape[1]))
    if len(speakers) < 2 or counts.sum() == len(speakers):
        return np.full(middle.shape[1], PRIOR_CLIPS_OF_MEAN)
    within /= counts.sum() - len(speakers)
    between = middle.var(axis=0, ddof=1) - within * np.mean(1 / counts)
    varies = within > 0
    share = np.where(varies, between, 1) / np.where(varies, within, 1)
    return np.where(
        varies,
        1 / np.clip(share, 1 / _MOST_PRIOR_CLIPS, 1 / _FEWEST_PRIOR_CLIPS),
        PRIOR_CLIPS_OF_MEAN,
    )


def known_speakers(adaptation: SpeakerAdaptation | None, speakers: Sequence[str]) -> Sequence[SpeakerStatistics | None]:
    """What a model knows of speakers by its training: an entry each, or one for all of a model that does not adapt."""
    return [adaptation.known.get(speaker) for speaker in speakers] if adaptation else (None,)


def with_profiles(
    rows: npt.NDArray[np.float32],
    adaptation: SpeakerAdaptation | None,
    speakers: Sequence[SpeakerStatistics | None],
) -> npt.NDArray[np.float32]:
    """What a model reads: the rows, and behind each the profile of its speaker if the model adapts.

    Args:
        rows: float32, shape (n, n_features).
        adaptation: Of a model that adapts; None of one that does not.
        speakers: Of each row, or one for all.
    """
    if adaptation is None:
        return rows
    # A speaker has many rows; a profile is made once.
    made = {id(speaker): adaptation.profile(speaker) for speaker in {id(one): one for one in speakers}.values()}
    profiles = np.stack([made[id(speaker)] for speaker in speakers])
    return np.concatenate([rows, np.broadcast_to(profiles, (len(rows), adaptation.num_columns))], axis=1)


@overload
def together(one: SpeakerStatistics, other: SpeakerStatistics | None) -> SpeakerStatistics: ...
@overload
def together(one: SpeakerStatistics | None, other: SpeakerStatistics) -> SpeakerStatistics: ...
@overload
def together(one: SpeakerStatistics | None, other: SpeakerStatistics | None) -> SpeakerStatistics | None: ...
def together(one: SpeakerStatistics | None, other: SpeakerStatistics | None) -> SpeakerStatistics | None:
    """What is known of one speaker from two sides, each of which may know nothing."""
    return one + other if one and other else one or other


def statistics_of(columns: Sequence[npt.NDArray[np.float32]]) -> tuple[Vector, Vector, Vector]:
    """Number, sum and sum of squares of values along the first axis, of several arrays side by side.

    Args:
        columns: float32, each of shape (n, k); n and k differ.

    Returns:
        float64, three vectors as long as all k together.
    """
    wide = [part.astype(np.float64) for part in columns]
    return (
        np.concatenate([np.full(part.shape[1], float(len(part))) for part in wide]),
        np.concatenate([part.sum(axis=0) for part in wide]),
        np.concatenate([np.square(part).sum(axis=0) for part in wide]),
    )
