"""Training of a fold: features in, what a model makes of the recordings that it has not heard out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("training"), install_kfp_package=False)
def train_fold(
    features: dsl.Input[dsl.Dataset],
    fold: str,
    protocol: str,
    folds: int,
    group: str,
    fold_file: str,
    enrollment_clips: str,
    enrollment_of: str,
    random_state: int,
    model_type: str,
    model_config: dict,
    scores: dsl.Output[dsl.Dataset],
) -> None:
    """Trains a model without the recordings of a fold, and has it judge them.

    Args:
        features: The features.
        fold: Name of the fold.
        protocol: holdout, kfold, loso, loto, lolo or loco.
        folds: How many; of kfold only.
        group: What keeps recordings in one fold; of kfold only.
        fold_file: Where folds of kfold that are given reside; empty deals them.
        enrollment_clips: Unlabelled clips that a model that adapts hears before it judges one: a number, or all.
        enrollment_of: Whose they are: speaker or corpus.
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config; what is left out has its default.
        scores: The held-out recordings with the truth and the model's probabilities.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import CrossValidationConfig
    from ser.steps.cross_validation import train_fold

    with step_console() as report:
        config = parse(
            CrossValidationConfig,
            {
                "protocol": protocol,
                "folds": folds,
                "group": group,
                "fold_file": fold_file,
                "enrollment_clips": enrollment_clips,
                "enrollment_of": enrollment_of,
                "random_state": random_state,
                "model_type": model_type,
                "model_config": model_config,
            },
        )
        figures = train_fold(Path(features.path), Path(scores.path), config, fold, report=report)
    print(f"{fold}: UAR {figures.uar:.3f}, accuracy {figures.accuracy:.3f}, {figures.samples} recordings")
    scores.metadata.update({"fold": fold, "uar": figures.uar, "accuracy": figures.accuracy})
