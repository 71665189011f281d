"""An ensemble of experts, fitted on a training set, as one Keras network that adapts to speakers.

Each expert is a ridge classifier over one part of the description. Their scores are added: of those that know the
corpus alone by one weight, of one that reads what a pretrained encoder hears by another. What they say of a training
speaker's clips when they have not been solved with that speaker's fits the weights: all inside the training part.
There are two such ensembles, one over features scaled for all speakers and one over features scaled by a speaker's
profile; the second has the more say, the more clips the profile is of. Each is the less sure, the farther a recording
lies from what was learnt (`ser.experts.familiarity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.acoustics.views import VIEWS
from ser.corpora.schemes.base import is_unknown
from ser.errors import TrainingError
from ser.experts.description import PRETRAINED, Columns, describe
from ser.experts.familiarity import familiarity, heat, reach_of, unheard_distances
from ser.experts.opinion_pool import fit_weights
from ser.experts.profiles import Profiles, clip_statistics
from ser.experts.ridge import Ridge, fit_ridge
from ser.experts.rows import describe_rows
from ser.features.standardiser import Standardiser
from ser.features.training_set import TrainingSet
from ser.networks.fitted import Fitted
from ser.networks.tensorflow_runtime import import_tensorflow
from ser.os_errors import temporary_folder
from ser.progress import Progress, Reporter
from ser.speakers.statistics import SpeakerAdaptation

Array = npt.NDArray[np.float32]

HALF_ADAPTED_CLIPS = 1.0
"""Of so many clips' profile, both ensembles have the same say."""
FOLDS = 5
"""Groups of speakers that do not vouch for each other when weights are fitted."""


@dataclass(frozen=True)
class Recipe:
    """How an ensemble is made."""

    reads: tuple[str, ...]
    """The extractors whose features it reads: of those that give one vector a clip, at least one."""
    adapts: bool
    """Whether there is the second ensemble."""
    penalty: float
    """See `fit_ridge`; of all experts but the encoder's."""
    encoder_penalty: float = 0.0
    """Of the encoder's expert, where it is read."""
    int8: bool = False
    """Whether it is served with weights of eight bits: Fisher vectors are not cut off then, to save constants."""
    n_components: int = 0
    """Gaussians of each mixture, where frames are read."""
    n_dimensions: int = 0
    """Dimensions that frames are whitened to."""


def fit_ensemble(training: TrainingSet, recipe: Recipe, *, seed: int, report: Reporter) -> Fitted:
    """Fits an ensemble.

    Args:
        training: What is learnt from.
        recipe: How.
        seed: Of the mixtures' first frames and of which clips profiles are of.
        report: Told of every expert.

    Raises:
        ConfigError: If the features lack what the recipe reads.
        TrainingError: If the penalty is too small, or a weight is not a finite number.
    """
    import_tensorflow()
    import keras
    from keras import ops

    from ser.experts.layers import Scale

    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    columns = Columns.of(training.frontend, recipe.reads)
    adaptation = SpeakerAdaptation.fit(clip_statistics(training))
    profiles = Profiles.of(training, adaptation, random) if recipe.adapts else None
    num_inputs = columns.num_features + (adaptation.num_columns if recipe.adapts else 0)
    inputs = keras.Input((num_inputs,))
    descriptions = [
        describe(
            training,
            columns,
            profiles if adapted else None,
            inputs,
            n_components=recipe.n_components,
            n_dimensions=recipe.n_dimensions,
            random=random,
        )
        for adapted in ((False, True) if recipe.adapts else (False,))
    ]
    told = _Progress(report, sum(len(description) for description in descriptions) + 1)
    with temporary_folder() as folder:
        rows = describe_rows(training, columns, profiles, inputs, descriptions, folder)
        told.one_more()
        labels, folds = training.labels, _folds(training)
        recordings = len(labels) // training.rows.copies
        logits, ratios, position = [], [], 0
        measure = next((name for name in columns.vectors if name in PRETRAINED), next(iter(columns.vectors)))
        for description in descriptions:
            # By whether they are of a pretrained encoder.
            experts: dict[bool, list[Any]] = {}
            unheard: dict[bool, Array] = {}
            far, distances = inputs, np.empty(0, dtype=np.float32)
            for name, part in description.items():
                pretrained = name in PRETRAINED
                penalty = recipe.encoder_penalty if pretrained else recipe.penalty
                ridge, scores = fit_ridge(rows[position], labels, folds, penalty=penalty)
                said = experts.setdefault(pretrained, [])
                if recipe.int8 and name in VIEWS:
                    said.append(_folded(ridge)(part))
                else:
                    scaled = Scale.by(ridge.scaling)(part)
                    said.append(_dense(ridge.weights, ridge.bias)(scaled))
                    if name == measure:
                        far = ops.mean(ops.square(scaled), axis=-1, keepdims=True)
                        distances = unheard_distances(rows[position], folds, recordings)
                unheard[pretrained] = unheard.get(pretrained, 0) + scores[:recordings]
                position += 1
                told.one_more()
            reach = reach_of(distances)
            tempered = np.stack(list(unheard.values())) / heat(distances / reach)[:, np.newaxis]
            weights = fit_weights(tempered, labels[:recordings])
            ratio = far * np.float32(1 / reach)
            weighted = [_sum(group) * weight for group, weight in zip(experts.values(), weights, strict=True)]
            logits.append(_sum(weighted) / heat(ratio, ops))
            ratios.append(ratio)
    total, ratio = logits[0], ratios[0]
    if recipe.adapts:
        clips = inputs[:, columns.clips]
        share = clips / (clips + np.float32(HALF_ADAPTED_CLIPS))
        total = logits[0] * (1 - share) + logits[1] * share
        ratio = ratios[0] * (1 - share) + ratios[1] * share
    model = keras.Model(inputs, ops.concatenate([ops.softmax(total, axis=-1), familiarity(ratio, ops)], axis=-1))
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise TrainingError("the training diverged: expected finite weights; try a larger model_config.penalty")
    identity = Standardiser.identity(columns.num_features)
    return Fitted(model, identity, {}, adaptation if recipe.adapts else None, recipe.int8, tells_familiarity=True)


def _dense(weights: Array, bias: Array) -> Any:
    from keras import layers

    dense = layers.Dense(weights.shape[1])
    dense.build((None, len(weights)))
    dense.set_weights([weights, bias])
    return dense


def _folded(ridge: Ridge) -> Any:
    """A ridge classifier with its scaling, as one layer that does not cut off."""
    weights = ridge.scaling.inverse_deviation[:, None] * ridge.weights
    return _dense(weights, ridge.bias - ridge.scaling.mean @ weights)


def _sum(tensors: list[Any]) -> Any:
    from keras import layers

    return tensors[0] if len(tensors) == 1 else layers.Add()(tensors)


def _folds(training: TrainingSet) -> npt.NDArray[np.int64]:
    """Which rows must not vouch for each other: a speaker's; where speakers are not known, a clip's."""
    groups = [sample.name if is_unknown(sample.speaker) else sample.speaker for sample in training.samples]
    if len(set(groups)) < 2:
        groups = [sample.name for sample in training.samples]
    number = {group: place % FOLDS for place, group in enumerate(sorted(set(groups)))}
    of_rows = [
        number[group] for group, sample in zip(groups, training.samples, strict=True) for _ in range(sample.pieces)
    ]
    return np.tile(np.array(of_rows, dtype=np.int64), training.rows.copies)


class _Progress:
    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def one_more(self) -> None:
        self._done += 1
        self._report(Progress("train", self._done, self._total, "experts"))
