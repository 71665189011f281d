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
    minimum_uar: float = 0.0,
    protocol: str = "loso",
    folds: int = 10,
    group: str = "",
    fold_file: str = "",
    enrollment_clips: str = "0",
    enrollment_of: str = "speaker",
) -> NamedTuple(  # type: ignore[valid-type]  # KFP reads it
    "Features",
    [
        ("dataset_load_split_at", str),
        ("dataset_feature_extract_methods", dict),
        ("dataset_virtual_speakers", int),
    ],
):
    """Checks all that can be known without the corpus, and says what is left to the model type.

    A pipeline leaves out what it does not know.

    Args:
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config.
        dataset_load_split_at: Length of a piece: min, max, avg or a number of samples; empty: the model type's.
        dataset_feature_extract_methods: Method to config; empty: the model type's.
        dataset_virtual_speakers: Virtual speakers who say each clip as well; -1: the model type's.
        minimum_uar: Least UAR, 0 to 1, of a model that is saved.
        protocol: holdout, kfold, loso, loto, lolo or loco.
        folds: How many; of kfold only.
        group: What keeps recordings in one fold; of kfold only.
        fold_file: Where folds of kfold that are given reside; it is read.
        enrollment_clips: Unlabelled clips that a model that adapts hears before it judges one: a number, or all.
        enrollment_of: Whose they are: speaker or corpus.

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
                "minimum_uar": minimum_uar,
                "protocol": protocol,
                "folds": folds,
                "group": group,
                "fold_file": fold_file,
                "enrollment_clips": enrollment_clips,
                "enrollment_of": enrollment_of,
            }
        )
    said = config.model_dump(mode="json", exclude_none=True)
    methods = said["dataset_feature_extract_methods"]
    print(f"{model_type} learns from {', '.join(methods)}")
    return str(said["dataset_load_split_at"]), methods, said["dataset_virtual_speakers"]
