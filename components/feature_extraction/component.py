"""Feature extraction: a corpus in, features out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("feature_extraction"), install_kfp_package=False)
def feature_extraction(
    corpus: dsl.Input[dsl.Dataset],
    dataset_load_split_at: str,
    dataset_load_normalize: bool,
    dataset_feature_extract_methods: dict,
    dataset_virtual_speakers: int,
    features: dsl.Output[dsl.Dataset],
) -> None:
    """Cuts every recording into pieces and computes their features.

    Args:
        corpus: The corpus.
        dataset_load_split_at: Length of a piece: min, max, avg or a number of samples.
        dataset_load_normalize: Divide each recording by its peak.
        dataset_feature_extract_methods: Method to config.
        dataset_virtual_speakers: Virtual speakers who say each clip as well.
        features: Folder with the feature rows, the sample table and the front-end.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import FeatureConfig
    from ser.steps.feature_extraction import extract_features

    with step_console() as report:
        config = parse(
            FeatureConfig,
            {
                "dataset_load_split_at": dataset_load_split_at,
                "dataset_load_normalize": dataset_load_normalize,
                "dataset_feature_extract_methods": dataset_feature_extract_methods,
                "dataset_virtual_speakers": dataset_virtual_speakers,
            },
        )
        extract_features(Path(corpus.path), Path(features.path), config, report=report)
