"""Folds: features in, the names of a cross-validation's folds out."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("evaluation"), install_kfp_package=False)
def plan_folds(
    features: dsl.Input[dsl.Dataset],
    protocol: str,
    folds: int,
    random_state: int,
    model_type: str,
    model_config: dict,
) -> list:
    """Names the folds.

    Args:
        features: The features.
        protocol: holdout, kfold, loso, loto, lolo or loco.
        folds: How many; of kfold only.
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config; a wrong one fails here, before any fold.

    Returns:
        The names.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import CrossValidationConfig
    from ser.steps.cross_validation import plan_folds

    with step_console():
        config = parse(
            CrossValidationConfig,
            {
                "protocol": protocol,
                "folds": folds,
                "random_state": random_state,
                "model_type": model_type,
                "model_config": model_config,
            },
        )
        names = plan_folds(Path(features.path), config)
    print(f"{len(names)} folds")
    return list(names)
