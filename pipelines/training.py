"""The training pipeline: a look at what is asked for, then download, feature extraction, training, evaluation."""

from typing import Any, NamedTuple

from kfp import dsl

from ser.request import default_model_type
from ser.steps.checking import OF_THE_MODEL_TYPE
from ser_components.download.component import download
from ser_components.evaluation.component import evaluation
from ser_components.training.component import training
from ser_pipelines.cluster import ClusterSettings, placing
from ser_pipelines.features import check, extract


class TrainingOutputs(NamedTuple):
    """What a run leaves for whoever started it."""

    model_id: str
    model: dsl.Model
    metrics: dsl.Metrics
    classification: dsl.ClassificationMetrics
    report: dsl.HTML


def training_pipeline_on(cluster: ClusterSettings | None) -> Any:
    """The pipeline, set up for a cluster; None sets up nothing, as fits a run on this machine."""
    place = placing(cluster)

    @dsl.pipeline(name="ser-training", description="Trains a speech emotion model on a corpus zip, and evaluates it.")
    def training_pipeline(
        data_path: str,
        remote_url: str,
        model_save_path: str,
        model_type: str = default_model_type(),
        random_state: int = 42,
        dataset_force: bool = False,
        dataset_load_split_at: str = OF_THE_MODEL_TYPE["dataset_load_split_at"],
        dataset_load_normalize: bool = True,
        dataset_feature_extract_methods: dict = OF_THE_MODEL_TYPE["dataset_feature_extract_methods"],
        dataset_virtual_speakers: int = OF_THE_MODEL_TYPE["dataset_virtual_speakers"],
        model_config: dict = {},  # noqa: B006 - KFP reads it, nobody writes
        minimum_uar: float = 0.0,
        receipt: str = "",
    ) -> TrainingOutputs:
        """Parameters are those of `/train`, under the same names, and those of `ser.request.PublishConfig`."""
        checked = check(
            place,
            random_state=random_state,
            model_type=model_type,
            model_config=model_config,
            dataset_load_split_at=dataset_load_split_at,
            dataset_feature_extract_methods=dataset_feature_extract_methods,
            dataset_virtual_speakers=dataset_virtual_speakers,
            minimum_uar=minimum_uar,
        )
        corpus = download(data_path=data_path, remote_url=remote_url, dataset_force=dataset_force).after(checked)
        place("download", corpus)
        features = extract(
            corpus.outputs["corpus"],
            place,
            cluster.feature_parts if cluster else 1,
            dataset_load_normalize=dataset_load_normalize,
            **checked.outputs,
        )
        model = training(
            features=features,
            random_state=random_state,
            model_type=model_type,
            model_config=model_config,
        )
        place("training", model)
        result = evaluation(
            features=features,
            model=model.outputs["model"],
            model_save_path=model_save_path,
            minimum_uar=minimum_uar,
            receipt=receipt,
        )
        place("evaluation", result)
        return TrainingOutputs(
            model_id=result.outputs["Output"],
            model=model.outputs["model"],
            metrics=result.outputs["metrics"],
            classification=result.outputs["classification"],
            report=result.outputs["report"],
        )

    return training_pipeline


training_pipeline = training_pipeline_on(None)
