"""How familiar a model finds other corpora and other sounds than it learnt, and how right it is to be as sure.

    python -m benchmarks.familiarity --home emodb.zip --away emovo.zip nemo.zip

A model type learns one corpus: once without each speaker, whose clips it then judges, and once from all of it. What the
second judges: the other corpora, by the front-end that hears it all, and sounds made from nothing or from every fourth
clip at home. Printed of each: the median familiarity; the area under the curve against home's unheard speakers (1: all
of it is less familiar than all of them); where the labels are known, the accuracy, the mean probability, and the
expected calibration error in 15 bins. Only clips with a label that the model knows are judged.
There is no chance in it but the noises', of seed 0.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.altered import in_noise, over_telephone, the_first
from ser.audio.recordings import SAMPLE_RATE_HZ, Samples
from ser.bundles.judgements import Judgements
from ser.config import parse
from ser.dataset import Dataset
from ser.evaluation.calibration import calibration
from ser.evaluation.scored_samples import ScoredSamples
from ser.evaluation.split import Protocol, folds
from ser.features import About
from ser.features.feature_set import FeatureSet, Sample
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.networks.fitted import Fitted
from ser.progress import silent
from ser.request import TrainRequest
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on
from ser.steps.training import score

EVERY = 4
"""Of home's clips one in so many is altered."""
SECONDS = 3


@dataclass(frozen=True)
class Corpus:
    """A corpus with its features."""

    features: FeatureSet
    frontend: FrontEnd
    dataset: Dataset
    request: TrainRequest

    @classmethod
    def of(cls, url: str, model_type: str, data: str) -> Corpus:
        """Fetches it and extracts its features, as far as that is not done."""
        body = {"data_path": data, "remote_url": url, "model_type": model_type, "model_config": {"adapts": False}}
        request = parse(TrainRequest, {**body, "model_save_path": data})
        dataset = Dataset(data, url)
        folder = dataset.features_of(request)
        return cls(load_features(folder), load_frontend(folder), dataset, request)

    def hear(self, url: str, data: str) -> FeatureSet:
        """Another corpus, as a model of this one is given it: what has a label that this one knows."""
        samples, rows = [], []
        for clip, sound in Dataset(data, url):
            if clip.emotion in self.features.classes:
                rows.append(self.frontend.transform(sound, clip.about))
                who = (clip.speaker, clip.gender, clip.text, clip.emotion)
                samples.append(Sample(clip.name, *who, clip.seconds, len(rows[-1])))
        return FeatureSet(np.concatenate(rows), tuple(samples))

    def fit(self, names: set[str]) -> Fitted:
        """A model of some of its recordings."""
        return fit_on(TrainingSet.of(self.features, names, self.frontend), self.request, silent)


def main() -> None:
    """Prints a row for home, each other corpus and each kind of sound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--away", nargs="*", default=[], help="other corpora")
    parser.add_argument("--model-type", default="EncoderClassifier")
    parser.add_argument("--data", type=Path, help="keeps the corpora and their features")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = str(arguments.data or temporary)
        home = Corpus.of(arguments.home, arguments.model_type, data)
        table = Table("heard", "clips", "familiarity", "AUC", "accuracy %", "probability", "ECE", box=None)
        parts = []
        for fold in folds(home.features.samples, Protocol.LOSO):
            test = home.features.select(fold.test)
            parts.append((test, home.fit(set(fold.training)).judge(test.rows)))
        unheard = np.concatenate([_told(judged) for _, judged in parts])
        _add(table, "home, each speaker unheard", unheard, unheard, _scored(parts, home.features.classes))
        model = home.fit({sample.name for sample in home.features.samples})
        for url in arguments.away:
            away = home.hear(url, data)
            judged = model.judge(away.rows)
            scored = _scored([(away, judged)], home.features.classes)
            _add(table, Path(url).name, away.average(_told(judged)[:, np.newaxis])[:, 0], unheard, scored)
        for name, sounds in _sounds(home):
            rows = np.concatenate([home.frontend.transform(sound, About()) for sound in sounds])
            _add(table, name, _told(model.judge(rows)), unheard)
    Console().print(table)


def _told(judged: Judgements) -> npt.NDArray[np.float32]:
    if judged.familiarity is None:
        raise SystemExit("--model-type: expected one that tells familiarity")
    return judged.familiarity


def _scored(parts: Sequence[tuple[FeatureSet, Judgements]], classes: tuple[str, ...]) -> ScoredSamples:
    return ScoredSamples.concatenate([score(features, judged.probabilities, classes) for features, judged in parts])


def _add(
    table: Table,
    name: str,
    found: npt.NDArray[np.float32],
    unheard: npt.NDArray[np.float32],
    scored: ScoredSamples | None = None,
) -> None:
    truth = np.r_[np.ones(len(unheard)), np.zeros(len(found))]
    area = "" if found is unheard else f"{roc_auc_score(truth, np.r_[unheard, found]):.3f}"
    cells = [name, str(len(found)), f"{np.median(found):.3f}", area]
    if scored:
        right, sure = scored.predicted == scored.truth, scored.probabilities.max(axis=1)
        cells += [f"{100 * right.mean():.1f}", f"{sure.mean():.2f}", f"{calibration(scored).ece:.3f}"]
    table.add_row(*cells)


def _sounds(home: Corpus) -> Iterator[tuple[str, list[Samples]]]:
    """Kinds of sound by name: altered clips, and what is no speech."""
    random = np.random.default_rng(0)
    clips = [samples for _, samples in home.dataset][::EVERY]
    for decibels in (20, 10, 0):
        yield f"noise of {decibels} dB", [in_noise(decibels)(clip, random) for clip in clips]
    yield "telephone, 300 to 3,400 Hz", [over_telephone(clip, random) for clip in clips]
    yield "first second", [the_first(1)(clip, random) for clip in clips]
    yield "backwards", [np.ascontiguousarray(clip[::-1]) for clip in clips]
    length = SECONDS * SAMPLE_RATE_HZ
    whole = [np.resize(clip / np.float32(np.abs(clip).max()), length) for clip in clips]
    groups = [np.stack(whole[first : first + 5]) for first in range(len(whole) - 4)]
    yield "five voices at once", [group.mean(axis=0).astype(np.float32) for group in groups]
    moments = np.arange(length) / SAMPLE_RATE_HZ
    pitches = np.geomspace(110, 880, 37)
    yield "white noise", [(random.standard_normal(length) / 10).astype(np.float32) for _ in pitches]
    yield "tones", [_chord(moments, [pitch]) for pitch in pitches]
    yield "chords", [_chord(moments, [pitch * ratio for ratio in (1, 1.26, 1.5, 2)]) for pitch in pitches]


def _chord(moments: npt.NDArray[np.float64], pitches: list[float]) -> Samples:
    tones = sum((np.sin(2 * np.pi * pitch * moments) for pitch in pitches), np.zeros(len(moments)))
    chord: Samples = (0.2 * tones / len(pitches)).astype(np.float32)
    return chord


if __name__ == "__main__":
    main()
