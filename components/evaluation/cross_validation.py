"""Cross-validation's end: the scores of all folds in, one report out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("evaluation"), install_kfp_package=False)
def cross_validation(
    scores: dsl.Input[list[dsl.Dataset]],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Pools the folds: each recording is judged by the model that has not heard it.

    Args:
        scores: What each fold's model made of the fold's recordings.
        metrics: Pooled UAR and accuracy with their intervals, macro F1, chance, calibration; UAR of each fold and their
            mean.
        classification: Pooled confusion matrix.
        report: The report, one self-contained page.
    """
    import json
    import shutil
    import tempfile
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.steps.cross_validation import summarise

    with step_console(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "report"
        result = summarise([Path(one.path) for one in scores], folder)
        shutil.copyfile(folder / "report.html", report.path)
    figures, folds = result.pooled, result.seeds[0]
    low, high = figures.accuracy_interval
    uar_low, uar_high = figures.uar_interval
    summary = {
        "uar": figures.uar,
        "uar_95_low": uar_low,
        "uar_95_high": uar_high,
        "uar_fold_mean": folds.fold_uar.mean,
        "uar_fold_deviation": folds.fold_uar.deviation or 0.0,
        "accuracy": figures.accuracy,
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "macro_f1": figures.macro_f1,
        "chance": figures.chance,
        "ece": figures.calibration.ece,
        "brier": figures.calibration.brier,
        **{f"uar, {row.group}": row.uar for row in folds.folds},
    }
    for name, value in summary.items():
        metrics.log_metric(name, value)
    # The API of Kubeflow Pipelines has no way to read metrics; whoever waits for the run finds them in the log.
    print("metrics", json.dumps(summary))
    classification.log_confusion_matrix(list(figures.classes), figures.confusion.tolist())
