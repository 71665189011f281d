"""The steps of a training, each beginning with what the step before left; and whole trainings."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.sigkill import forked
from benchmarks.sigkill.scenarios import Scenario, whole_models
from ser.bundles.manifest import REPORT
from ser.bundles.model_store import list_models
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import SerError
from ser.features.feature_set import FeatureSet
from ser.request import CrossValidationConfig, TrainRequest
from ser.steps.evaluation import evaluate
from ser.steps.protocol import cross_validate
from ser.storage.files import stamp_of
from ser.storage.stamps import STAMP
from ser.trainer import Trainer, run

_METHODS: dict[str, Any] = {"MFCC": {"num_cepstral": 4}}
_CONFIG = {"epochs": 2}
_TYPE = "KerasClassifier"


def scenarios(place: Path, url: str, clips: int) -> Iterator[Scenario]:
    """All of them; what they begin with is made once, below a folder.

    Args:
        place: Folder for what scenarios begin with.
        url: Where the corpus zip resides.
        clips: How many recordings it has.
    """
    begin = partial(_begin, place, url)
    check = partial(_check, url, clips)
    train = partial(_train, url)
    yield Scenario("download and prepare", partial(_prepare, url), check=check, weight=3)
    yield Scenario("features", partial(_features, url), begin("prepared", _prepare), check, weight=2)
    yield Scenario("train", train, begin("features", _features), check, weight=2)
    yield Scenario("train again by force", partial(_train, url, force=True), begin("trained", _train), check)
    yield Scenario("evaluate", _evaluate, begin("trained", _train), check, weight=1.5)
    yield Scenario("whole training", partial(_run, url), check=check)
    yield Scenario("evaluate by protocol", partial(_protocol, url), begin("features", _features), check, weight=0.15)
    yield Scenario("pipeline", partial(_pipeline, url), check=check, result=_models_only, weight=0.1, most_kills=2)


def _begin(place: Path, url: str, name: str, make: Callable[..., object]) -> Callable[[Path], object]:
    def start(folder: Path) -> None:
        source = place / name / "work"
        if not source.exists():
            making = place / f"{name}.making" / "work"
            shutil.rmtree(making.parent, ignore_errors=True)
            making.mkdir(parents=True)
            ended = forked.run(lambda folder: make(url, folder), making)
            if ended.status:
                raise RuntimeError(forked.log_of(making).read_text(errors="replace")[-2_000:])
            making.parent.rename(source.parent)
        shutil.copytree(source, folder)

    return start


def _dataset(url: str, folder: Path) -> Dataset:
    return Dataset(folder / "data", url)


def _prepare(url: str, folder: Path) -> None:
    _dataset(url, folder).prepare()


def _features(url: str, folder: Path) -> Path:
    return _dataset(url, folder).feature_extract(_METHODS)


def _train(url: str, folder: Path, *, force: bool = False) -> None:
    Trainer(_TYPE, _CONFIG).train(_features(url, folder), folder / "models", force=force)


def _evaluate(folder: Path) -> None:
    (model,) = list_models(folder / "models")
    evaluate(folder / "models" / model, folder / "models" / model / REPORT, force=True)


def _request(url: str, folder: Path) -> TrainRequest:
    return parse(
        TrainRequest,
        {
            "data_path": str(folder / "data"),
            "remote_url": url,
            "dataset_feature_extract_methods": _METHODS,
            "model_type": _TYPE,
            "model_save_path": str(folder / "models"),
            "model_config": _CONFIG,
        },
    )


def _run(url: str, folder: Path) -> None:
    run(_request(url, folder))


def _protocol(url: str, folder: Path) -> None:
    given = {"protocol": "kfold", "folds": 2, "model_type": _TYPE, "model_config": _CONFIG}
    config = parse(CrossValidationConfig, given)
    cross_validate(_features(url, folder), folder / "evaluation", config, workers=2)


def _pipeline(url: str, folder: Path) -> None:
    from ser_pipelines.local import run_locally

    run_locally(_request(url, folder), folder / "runs")


def _models_only(folder: Path) -> dict[str, str]:
    from benchmarks.sigkill.scenarios import contents

    return contents(folder / "models")


def _check(url: str, clips: int, folder: Path) -> list[str]:
    """Whatever has a stamp is whole; whatever is listed opens."""
    del url
    problems = whole_models(folder / "models")
    for stamped in (folder / "data").glob(f"*/[!.]*/{STAMP}"):
        made = stamped.parent
        try:
            if stamp_of(made) is None:
                problems.append(f"{made.name}: its stamp has no fingerprint")
            match made.parent.name:
                case "corpus" if len(list(made.rglob("*.wav"))) != clips:
                    problems.append(f"a corpus is stamped and has {len(list(made.rglob('*.wav')))} of {clips} files")
                case "features":
                    from ser.steps.feature_extraction import load_features

                    found: FeatureSet = load_features(made)
                    if len(found.samples) != clips:
                        problems.append(f"features are stamped and have {len(found.samples)} of {clips} clips")
        except SerError as error:
            problems.append(f"{made.parent.name} is stamped and is not whole: {error}")
    return problems
