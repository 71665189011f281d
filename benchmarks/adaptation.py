"""Accuracy on speakers never heard, and after hearing some of their clips without labels; model types side by side.

    python -m benchmarks.adaptation --corpus emodb.zip --model-type EncoderClassifier FunctionalsClassifier

Leave one speaker out: a fold is trained once a seed, and judges its speaker's recordings knowing nothing of the
speaker, then 1, 3, 5, 10 and 20 other clips drawn by the seed, then all, the judged one too (transductive). UAR is of
all recordings together: mean ± deviation over the seeds [95 % interval over speakers]. Of EmoDB it is also given of the
development speakers, on whom settings were looked at, and of the untouched ones. Of several model types, differences of
the first to each other follow, of the same recordings. What is finished is kept in --out and not done again.

With --int8 it is the network of eight bits that judges, as LiteRT runs it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.speaker_figures import Judged, parts_of
from ser.bundles.judgements import Judgements
from ser.bundles.litert import LiteRTModel
from ser.config import parse
from ser.dataset import Dataset
from ser.evaluation.split import Fold, Protocol, folds
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.features.training_set import TrainingSet
from ser.networks.fitted import Fitted
from ser.progress import silent
from ser.request import TrainRequest
from ser.speakers.statistics import with_profiles
from ser.steps.enrolling import enrolled
from ser.steps.feature_extraction import load_features, load_frontend
from ser.steps.fitting import fit_on

CLIPS: Sequence[int | Literal["all"]] = (0, 1, 3, 5, 10, 20, "all")
Done = dict[str, dict[str, Any]]
"""Model type, seed and fold to what `_judge` gave."""


def main() -> None:
    """Prints a table a model type, and one of differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="embedded:", help="as --remote-url of ser train")
    parser.add_argument("--model-type", nargs="+", default=["EnsembleClassifier"])
    parser.add_argument("--int8", action="store_true", help="weights of eight bits")
    parser.add_argument(
        "--dataset-feature-extract-methods",
        type=json.loads,
        help="as JSON; those that the model type has, if not given",
    )
    parser.add_argument(
        "--dataset-virtual-speakers",
        type=int,
        help="who say each clip as well; the model type's, if not given",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", type=Path, help="keeps the corpus and its features")
    parser.add_argument("--out", type=Path, help="keeps what is predicted")
    arguments = parser.parse_args()
    done: Done = json.loads(arguments.out.read_text()) if arguments.out and arguments.out.exists() else {}
    front_end = ("dataset_feature_extract_methods", "dataset_virtual_speakers")
    given = {name: vars(arguments)[name] for name in front_end if vars(arguments)[name] is not None}
    with tempfile.TemporaryDirectory() as temporary:
        for model_type in arguments.model_type:
            request = parse(
                TrainRequest,
                {
                    "data_path": str(arguments.data or temporary),
                    "remote_url": arguments.corpus,
                    "model_type": model_type,
                    "model_config": {"weights": "int8"} if arguments.int8 else {},
                    "model_save_path": temporary,
                    **given,
                },
            )
            folder = Dataset(request.data_path, request.remote_url).features_of(request)
            features, frontend = load_features(folder), load_frontend(folder)
            plan = folds(features.samples, Protocol.LOSO)
            for seed in arguments.seeds:
                for fold in plan:
                    key = _key(model_type, seed, fold.name)
                    if key not in done:
                        done[key] = _judge(features, frontend, fold, request.model_copy(update={"random_state": seed}))
                        if arguments.out:
                            arguments.out.write_text(json.dumps(done))
    _print(done, arguments.model_type, arguments.seeds, [fold.name for fold in plan])


def _key(model_type: str, seed: int, fold: str) -> str:
    return f"{model_type}/{seed}/{fold}"


def _judge(features: FeatureSet, frontend: FrontEnd, fold: Fold, request: TrainRequest) -> dict[str, Any]:
    """Truth, and what is predicted after hearing so many clips, as numbers of classes; seconds that training took."""
    started = time.perf_counter()
    fitted = fit_on(TrainingSet.of(features, fold.training, frontend), request, silent)
    seconds = time.perf_counter() - started
    test = features.select(fold.test)
    predicted = {}
    served = _served(fitted) if fitted.int8 else None
    for clips in CLIPS:
        told = enrolled(fitted.adaptation, test, frontend, clips, seed=request.random_state)
        if served:
            answer = served(with_profiles(fitted.standardiser(test.rows), fitted.adaptation, told))
            probabilities = Judgements.of(answer, len(features.classes)).probabilities
        else:
            probabilities = fitted.predict(test.rows, told)
        predicted[str(clips)] = test.average(probabilities).argmax(axis=1).tolist()
    truth = [features.classes.index(sample.emotion) for sample in test.samples]
    return {"truth": truth, "predicted": predicted, "seconds": seconds}


def _served(fitted: Fitted) -> LiteRTModel:
    from ser.networks.export import export_tflite

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        export_tflite(fitted.model, path, int8=True)
        return LiteRTModel(path.read_bytes())


def _print(done: Done, model_types: Sequence[str], seeds: Sequence[int], names: Sequence[str]) -> None:
    parts, console = parts_of(names), Console(width=150)
    judged = {
        (one, clips, part): Judged.of(
            [{name: done[_key(one, seed, name)] for name in speakers} for seed in seeds], speakers, clips
        )
        for one in model_types
        for clips in map(str, CLIPS)
        for part, speakers in parts.items()
    }
    first, *others = model_types
    for one in model_types:
        table = _table(f"{one}, UAR %", parts)
        for clips in map(str, CLIPS):
            table.add_row(clips, *(judged[one, clips, part].cell() for part in parts))
        console.print(table)
        seconds = [done[_key(one, seed, name)]["seconds"] for seed in seeds for name in names]
        console.print(f"training a fold: {statistics.median(seconds):.1f} s (median)\n")
    for one in others:
        table = _table(f"{first} minus {one}, points", parts)
        for clips in map(str, CLIPS):
            table.add_row(clips, *(judged[first, clips, part].against(judged[one, clips, part]) for part in parts))
        console.print(table)


def _table(title: str, parts: Iterable[str]) -> Table:
    return Table("clips heard", *parts, title=title, title_justify="left", box=None)


if __name__ == "__main__":
    main()
