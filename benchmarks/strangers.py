"""Corpora by turns at home and strange: each is learnt, and the others are heard.

    python -m benchmarks.strangers --corpora emodb.zip emovo.yaml nemo.zip

For each corpus, models of all speakers but one judge that one, and a model of all of it judges the other corpora, as
far as their labels are known to it; a corpora file brings labels together. Printed of each pair: the median
familiarity; the area under the curve against home's unheard speakers (1: all of it is less familiar than all of them);
the accuracy, the mean probability of the answer, and the expected calibration error in 15 bins; and the two last as
they would be if probabilities took no notice of the distance. There is no chance in it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.familiarity import Corpus
from ser.bundles.judgements import Judgements
from ser.evaluation.calibration import calibration
from ser.evaluation.scored_samples import ScoredSamples
from ser.evaluation.split import Protocol, folds
from ser.experts.familiarity import STEEPNESS, heat
from ser.features.feature_set import FeatureSet
from ser.steps.training import score

Array = npt.NDArray[np.float32]
Judged = tuple[FeatureSet, Judgements]


def main() -> None:
    """Prints a row for each corpus at home, and below it one for each other corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", required=True, help="as --remote-url of ser train; two at least")
    parser.add_argument("--model-type", default="EncoderClassifier", help="one that tells familiarity by one expert")
    parser.add_argument("--data", type=Path, help="keeps the corpora and their features")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = str(arguments.data or temporary)
        corpora = {Path(url).stem: Corpus.of(url, arguments.model_type, data) for url in arguments.corpora}
        titles = ("clips", "familiarity", "AUC", "accuracy %", "probability", "ECE", "without distance", "ECE")
        table = Table("learnt", "heard", *titles, box=None)
        for name, home in corpora.items():
            classes = home.features.classes
            unheard = list(_unheard(home))
            table.add_row(name, "its speakers, unheard", *_cells(unheard, classes))
            model = home.fit({sample.name for sample in home.features.samples})
            for other, away in corpora.items():
                if other != name:
                    known = [sample.name for sample in away.features.samples if sample.emotion in classes]
                    heard = away.features.select(known)
                    table.add_row("", other, *_cells([(heard, model.judge(heard.rows))], classes, unheard))
    Console(width=150).print(table)


def untempered(judged: Judgements) -> Array:
    """Probabilities as they would be if they took no notice of the distance: float32, shape (n, n_classes)."""
    ratio = (1 / np.clip(_familiarity(judged), 1e-6, 1) - 1) ** (1 / STEEPNESS)
    logits = np.log(np.maximum(judged.probabilities, 1e-30)) * heat(ratio)[:, np.newaxis]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def _unheard(home: Corpus) -> Iterator[Judged]:
    for fold in folds(home.features.samples, Protocol.LOSO):
        test = home.features.select(fold.test)
        yield test, home.fit(set(fold.training)).judge(test.rows)


def _cells(parts: Iterable[Judged], classes: tuple[str, ...], home: Iterable[Judged] = ()) -> list[str]:
    """What is printed of recordings.

    Args:
        parts: The recordings and what a model says of them.
        classes: The model's.
        home: What is known at home, to tell them from.
    """
    told = np.concatenate([_familiarity(judged) for _, judged in parts])
    at_home = [_familiarity(judged) for _, judged in home]
    area = ""
    if at_home:
        truth = np.r_[np.ones(sum(map(len, at_home))), np.zeros(len(told))]
        area = f"{roc_auc_score(truth, np.r_[*at_home, told]):.3f}"
    scored, without = (
        ScoredSamples.concatenate([score(features, of(judged), classes) for features, judged in parts])
        for of in (lambda judged: judged.probabilities, untempered)
    )
    right = f"{100 * (scored.predicted == scored.truth).mean():.1f}"
    return [str(len(told)), f"{np.median(told):.2f}", area, right, *_sure(scored), *_sure(without)]


def _sure(scored: ScoredSamples) -> tuple[str, str]:
    return f"{scored.probabilities.max(axis=1).mean():.2f}", f"{calibration(scored).ece:.3f}"


def _familiarity(judged: Judgements) -> Array:
    if judged.familiarity is None:
        raise SystemExit("--model-type: expected one that tells familiarity")
    return judged.familiarity


if __name__ == "__main__":
    main()
