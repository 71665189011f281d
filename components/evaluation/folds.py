"""Folds: a corpus in, the names of a cross-validation's folds out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("evaluation"), install_kfp_package=False)
def plan_folds(
    corpus: dsl.Input[dsl.Dataset],
    protocol: str,
    folds: int,
    group: str,
    fold_file: str,
    random_state: int,
    model_type: str,
    model_config: dict,
) -> list:
    """Names the folds, before features are extracted; a protocol that the corpus cannot have fails here.

    Args:
        corpus: The corpus.
        protocol: holdout, kfold, loso, loto, lolo or loco.
        folds: How many; of kfold only.
        group: What keeps recordings in one fold; of kfold only.
        fold_file: Where folds of kfold that are given reside; empty deals them.
        random_state: Seed of everything random.
        model_type: Registered name of the model type.
        model_config: The model type's config; a wrong one fails here, before any fold.

    Returns:
        The names.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.corpora.folder import load_manifest
    from ser.request import CrossValidationConfig
    from ser.steps.cross_validation import plan_folds, trainings_told

    with step_console():
        config = parse(
            CrossValidationConfig,
            {
                "protocol": protocol,
                "folds": folds,
                "group": group,
                "fold_file": fold_file,
                "random_state": random_state,
                "model_type": model_type,
                "model_config": model_config,
            },
        )
        names = plan_folds(load_manifest(Path(corpus.path)).clips, config)
        print(trainings_told(config, names))
    return list(names)
