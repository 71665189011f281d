"""Training: features in, a model out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("training"), install_kfp_package=False)
def training(
    features: dsl.Input[dsl.Dataset],
    random_state: int,
    model_type: str,
    model_config: dict,
    model: dsl.Output[dsl.Model],
) -> None:
    """Trains a model on nine tenths of the recordings.

    Args:
        features: The features.
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config; what is left out has its default.
        model: The model bundle.
    """
    from pathlib import Path

    from ser.bundles.bundle import Bundle
    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import TrainingConfig
    from ser.steps.training import train

    with step_console() as report:
        config = parse(
            TrainingConfig,
            {"random_state": random_state, "model_type": model_type, "model_config": model_config},
        )
        train(Path(features.path), Path(model.path), config, report=report)
        manifest = Bundle(Path(model.path)).manifest
    model.metadata.update(
        {
            "framework": "keras",
            "model_id": manifest.model_id,
            "model_type": manifest.model_type,
            "classes": list(manifest.classes),
        }
    )
