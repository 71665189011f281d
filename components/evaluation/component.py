"""Evaluation: a model in, metrics and a report out, and the model saved for use."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("evaluation"), install_kfp_package=False)
def evaluation(
    features: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    model_save_path: str,
    minimum_uar: float,
    receipt: str,
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Measures a model on the held-out recordings, and saves it with its report if it is good enough.

    Args:
        features: The features.
        model: The model bundle.
        model_save_path: Folder that the model's folder is saved into.
        minimum_uar: Least UAR, 0 to 1, of a model that is saved; below it nothing is.
        receipt: Name of a note beside the models that says which one was saved; empty leaves none.
        metrics: UAR, accuracy with its interval, macro F1, chance.
        classification: Confusion matrix, and the ROC over all decisions.
        report: The report, one self-contained page.

    Returns:
        The model's id; empty if it was not saved.
    """
    import json
    import shutil
    import tempfile
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import PublishConfig
    from ser.steps.evaluation import evaluate, publish

    with step_console() as reporter, tempfile.TemporaryDirectory() as temporary:
        config = parse(
            PublishConfig, {"model_save_path": model_save_path, "minimum_uar": minimum_uar, "receipt": receipt}
        )
        folder = Path(temporary) / "report"
        figures = evaluate(Path(model.path), folder, Path(features.path), report=reporter)
        shutil.copyfile(folder / "report.html", report.path)
        saved = publish(Path(model.path), folder, config)
    if saved:
        print(f"saved {saved.name}: UAR {figures.uar:.3f} reaches minimum_uar = {minimum_uar:g}")
    else:
        print(f"saved nothing: UAR {figures.uar:.3f} is below minimum_uar = {minimum_uar:g}")
    low, high = figures.accuracy_interval
    summary = {
        "uar": figures.uar,
        "accuracy": figures.accuracy,
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "macro_f1": figures.macro_f1,
        "chance": figures.chance,
    }
    for name, value in summary.items():
        metrics.log_metric(name, value)
    # The API of Kubeflow Pipelines has no way to read metrics; whoever waits for the run finds them in the log.
    print("metrics", json.dumps(summary))
    classification.log_confusion_matrix(list(figures.classes), figures.confusion.tolist())
    roc = figures.roc_micro
    if roc is not None:
        classification.log_roc_curve(roc.fpr.tolist(), roc.tpr.tolist(), roc.thresholds.tolist())
    return saved.name if saved else ""
