"""The end of feature extraction in parts: the parts in, the features of the whole out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("feature_extraction"), install_kfp_package=False)
def join_features(
    parts: dsl.Input[list[dsl.Dataset]],
    features: dsl.Output[dsl.Dataset],
) -> None:
    """Joins the features of all parts: what extraction in one go would have made, byte for byte.

    Args:
        parts: Feature folders of the parts.
        features: Feature folder of the whole.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.steps.feature_extraction import join_parts

    with step_console():
        join_parts([Path(part.path) for part in parts], Path(features.path))
