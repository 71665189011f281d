"""Accuracy on recordings that are noisy, narrow or short, by models that learnt clips as they are.

    python -m benchmarks.robustness --corpus emodb.zip

Leave one speaker out: a model learns from all other speakers, as `ser train` has it learn, and judges the speaker's
recordings as they are and altered in each of the ways of `benchmarks.altered`, knowing nothing of the speaker. UAR is
of all recordings together, with its 95 % interval over speakers; of EmoDB also of the development speakers, on whom
settings were looked at, and of the others. The only chance in it is the noise's, which follows from a clip's name.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.altered import ALTERATIONS, Alteration
from benchmarks.speaker_figures import Judged, parts_of
from ser.audio.recordings import Samples
from ser.config import parse
from ser.corpora.folder import Clip
from ser.dataset import Dataset
from ser.evaluation.split import Protocol, folds
from ser.features import About
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.parallel import ordered_map
from ser.progress import silent
from ser.request import TrainRequest
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on

Rows = npt.NDArray[np.float32]


def main() -> None:
    """Prints a row for the recordings as they are, and one for each alteration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="zip, URL or embedded:")
    parser.add_argument("--model-type", default="EncoderClassifier")
    parser.add_argument("--virtual-speakers", type=int, help="who say each clip as well, to learn from")
    parser.add_argument("--data", type=Path, help="keeps the corpus and its features")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = str(arguments.data or temporary)
        body = {"data_path": data, "remote_url": arguments.corpus, "model_type": arguments.model_type}
        if arguments.virtual_speakers is not None:
            body["dataset_virtual_speakers"] = arguments.virtual_speakers
        request = parse(TrainRequest, {**body, "model_save_path": data, "model_config": {"adapts": False}})
        dataset = Dataset(data, arguments.corpus)
        folder = dataset.features_of(request)
        features, frontend = load_features(folder), load_frontend(folder)
        if len(features.rows) != len(features.samples):
            raise SystemExit("--model-type: expected one that hears clips whole")
        heard = {"as they are": [np.asarray(row)[np.newaxis] for row in features.rows]}
        for name, alteration in track(ALTERATIONS.items(), "hearing", console=Console(stderr=True)):
            heard[name] = _rows(dataset, frontend, alteration)
        judged = {}
        for fold in track(folds(features.samples, Protocol.LOSO), "training", console=Console(stderr=True)):
            fitted = fit_on(TrainingSet.of(features, fold.training, frontend), request, silent)
            places = features.numbers(fold.test)
            # A clip that an alteration has made longer than all others comes in pieces.
            predicted = {
                name: [int(fitted.predict(clips[place]).mean(axis=0).argmax()) for place in places]
                for name, clips in heard.items()
            }
            judged[fold.name] = {"truth": features.labels(features.classes)[places], "predicted": predicted}
    parts = parts_of(list(judged))
    table = Table("heard", *parts, box=None)
    for name in heard:
        table.add_row(name, *(Judged.of([judged], speakers, name).cell() for speakers in parts.values()))
    Console(width=150).print(table)


def _rows(dataset: Dataset, frontend: FrontEnd, alteration: Alteration) -> list[Rows]:
    """The features of each clip, altered."""

    def transform(heard: tuple[Clip, Samples]) -> Rows:
        clip, samples = heard
        altered = alteration(samples, np.random.default_rng(zlib.crc32(clip.name.encode())))
        return frontend.transform(altered, About())

    return list(ordered_map(transform, dataset))


if __name__ == "__main__":
    main()
