"""Feature extraction in parts: a corpus in, the features of one part out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("feature_extraction"), install_kfp_package=False)
def extract_part(
    corpus: dsl.Input[dsl.Dataset],
    number: int,
    of: int,
    dataset_load_split_at: str,
    dataset_load_normalize: bool,
    dataset_feature_extract_methods: dict,
    dataset_virtual_speakers: int,
    features: dsl.Output[dsl.Dataset],
) -> None:
    """Computes the features of a part of the recordings, by the front-end of the whole.

    Args:
        corpus: The corpus, the whole.
        number: Which part, from 0.
        of: How many parts there are.
        dataset_load_split_at: Length of a piece: min, max, avg or a number of samples.
        dataset_load_normalize: Divide each recording by its peak.
        dataset_feature_extract_methods: Method to config.
        dataset_virtual_speakers: Virtual speakers who say each clip as well.
        features: Feature folder of the part.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import FeatureConfig
    from ser.steps.feature_extraction import extract_part

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
        extract_part(Path(corpus.path), Path(features.path), config, number, of, report=report)
