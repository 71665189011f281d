"""Whether a request can be had, before a corpus is downloaded for it; in the image that has what features need."""

from typing import NamedTuple

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("feature_extraction"), install_kfp_package=False)
def check_request(
    random_state: int,
    model_type: str,
    model_config: dict,
    dataset_load_split_at: str,
    dataset_feature_extract_methods: dict,
    dataset_virtual_speakers: int,
) -> NamedTuple(  # type: ignore[valid-type]  # KFP reads it
    "Features",
    [
        ("dataset_load_split_at", str),
        ("dataset_feature_extract_methods", dict),
        ("dataset_virtual_speakers", int),
    ],
):
    """Checks that model type and features fit, and says what is left to the model type.

    Args:
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config.
        dataset_load_split_at: Length of a piece: min, max, avg or a number of samples; empty: the model type's.
        dataset_feature_extract_methods: Method to config; empty: the model type's.
        dataset_virtual_speakers: Virtual speakers who say each clip as well; -1: the model type's.

    Returns:
        The settings of the features.
    """
    from ser.cli.console import step_console
    from ser.steps.checking import check_request

    with step_console():
        config = check_request(
            {
                "random_state": random_state,
                "model_type": model_type,
                "model_config": model_config,
                "dataset_load_split_at": dataset_load_split_at,
                "dataset_feature_extract_methods": dataset_feature_extract_methods,
                "dataset_virtual_speakers": dataset_virtual_speakers,
            }
        )
    said = config.model_dump(mode="json", exclude_none=True)
    methods = said["dataset_feature_extract_methods"]
    print(f"{model_type} learns from {', '.join(methods)}")
    return str(said["dataset_load_split_at"]), methods, said["dataset_virtual_speakers"]
