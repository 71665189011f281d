"""The cross-validation pipeline: folds, features, a model a fold, all at once where there is room, one report."""

from typing import Any, NamedTuple

from kfp import dsl

from ser.request import default_model_type
from ser.steps.checking import OF_THE_MODEL_TYPE
from ser_components.download.component import download
from ser_components.evaluation.cross_validation import cross_validation
from ser_components.evaluation.folds import plan_folds
from ser_components.training.fold import train_fold
from ser_pipelines.cluster import ClusterSettings, placing
from ser_pipelines.features import check, extract


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
        model_type: str = default_model_type(),
        protocol: str = "loso",
        folds: int = 10,
        group: str = "",
        fold_file: str = "",
        enrollment_clips: str = "0",
        enrollment_of: str = "speaker",
        random_state: int = 42,
        dataset_force: bool = False,
        dataset_load_split_at: str = OF_THE_MODEL_TYPE["dataset_load_split_at"],
        dataset_load_normalize: bool = True,
        dataset_feature_extract_methods: dict = OF_THE_MODEL_TYPE["dataset_feature_extract_methods"],
        dataset_virtual_speakers: int = OF_THE_MODEL_TYPE["dataset_virtual_speakers"],
        model_config: dict = {},  # noqa: B006 - KFP reads it, nobody writes
    ) -> CrossValidationOutputs:
        """Parameters are those of `/train`, under the same names, with those of the protocol.

        Folds are planned before features are extracted: a protocol that the corpus cannot have costs nothing.
        """
        checked = check(
            place,
            random_state=random_state,
            model_type=model_type,
            model_config=model_config,
            dataset_load_split_at=dataset_load_split_at,
            dataset_feature_extract_methods=dataset_feature_extract_methods,
            dataset_virtual_speakers=dataset_virtual_speakers,
            protocol=protocol,
            folds=folds,
            group=group,
            fold_file=fold_file,
            enrollment_clips=enrollment_clips,
            enrollment_of=enrollment_of,
        )
        corpus = download(data_path=data_path, remote_url=remote_url, dataset_force=dataset_force).after(checked)
        place("download", corpus)
        plan = plan_folds(
            corpus=corpus.outputs["corpus"],
            protocol=protocol,
            folds=folds,
            group=group,
            fold_file=fold_file,
            random_state=random_state,
            model_type=model_type,
            model_config=model_config,
        )
        place("evaluation", plan)
        features = extract(
            corpus.outputs["corpus"],
            place,
            cluster.feature_parts if cluster else 1,
            after=plan,
            dataset_load_normalize=dataset_load_normalize,
            **checked.outputs,
        )
        with dsl.ParallelFor(plan.output) as fold:
            trained = train_fold(
                features=features,
                fold=fold,
                protocol=protocol,
                folds=folds,
                group=group,
                fold_file=fold_file,
                enrollment_clips=enrollment_clips,
                enrollment_of=enrollment_of,
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
