"""The cross-validation pipeline: features once, a model a fold, all at once where there is room, one report."""

from typing import Any, NamedTuple

from kfp import dsl

from components.download.component import download
from components.evaluation.cross_validation import cross_validation
from components.evaluation.folds import plan_folds
from components.training.fold import train_fold
from pipelines.cluster import ClusterSettings, placing
from pipelines.features import extract
from ser.request import DEFAULT_METHODS


class CrossValidationOutputs(NamedTuple):
    """What a run leaves for whoever started it."""

    metrics: dsl.Metrics
    classification: dsl.ClassificationMetrics
    report: dsl.HTML


def cross_validation_pipeline_on(cluster: ClusterSettings | None) -> Any:
    """The pipeline, set up for a cluster; None sets up nothing, as fits a run on this machine."""
    place = placing(cluster)

    @dsl.pipeline(name="ser-cross-validation", description="Cross-validates a speech emotion model on a corpus zip.")
    def cross_validation_pipeline(
        data_path: str,
        remote_url: str,
        model_type: str,
        protocol: str = "loso",
        folds: int = 10,
        enrollment_clips: str = "0",
        random_state: int = 42,
        dataset_force: bool = False,
        dataset_load_split_at: str = "min",
        dataset_load_normalize: bool = True,
        dataset_feature_extract_methods: dict = dict(DEFAULT_METHODS),  # noqa: B006 - KFP reads it, nobody writes
        dataset_virtual_speakers: int = 0,
        model_config: dict = {},  # noqa: B006
    ) -> CrossValidationOutputs:
        """Parameters are those of `/train`, under the same names, with `protocol` and `folds`."""
        corpus = download(data_path=data_path, remote_url=remote_url, dataset_force=dataset_force)
        place("download", corpus)
        features = extract(
            corpus.outputs["corpus"],
            place,
            cluster.feature_parts if cluster else 1,
            dataset_load_split_at=dataset_load_split_at,
            dataset_load_normalize=dataset_load_normalize,
            dataset_feature_extract_methods=dataset_feature_extract_methods,
            dataset_virtual_speakers=dataset_virtual_speakers,
        )
        plan = plan_folds(
            features=features,
            protocol=protocol,
            folds=folds,
            random_state=random_state,
            model_type=model_type,
            model_config=model_config,
        )
        place("evaluation", plan)
        with dsl.ParallelFor(plan.output) as fold:
            trained = train_fold(
                features=features,
                fold=fold,
                protocol=protocol,
                folds=folds,
                enrollment_clips=enrollment_clips,
                random_state=random_state,
                model_type=model_type,
                model_config=model_config,
            )
            place("training", trained)
        result = cross_validation(scores=dsl.Collected(trained.outputs["scores"]))
        place("evaluation", result)
        return CrossValidationOutputs(
            metrics=result.outputs["metrics"],
            classification=result.outputs["classification"],
            report=result.outputs["report"],
        )

    return cross_validation_pipeline


cross_validation_pipeline = cross_validation_pipeline_on(None)
