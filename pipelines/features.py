"""Features within a pipeline: which they are, and then in one go, or in parts that are computed at once."""

from typing import Any

from kfp import dsl

from ser_components.feature_extraction.check import check_request
from ser_components.feature_extraction.component import feature_extraction
from ser_components.feature_extraction.join import join_features
from ser_components.feature_extraction.part import extract_part
from ser_pipelines.cluster import Place


def check(place: Place, **settings: Any) -> Any:
    """The task that checks what is asked for; to be called within a pipeline. Its outputs are settings of `extract`.

    Args:
        place: Told of the task.
        settings: Inputs of the step.
    """
    checked = check_request(**settings)
    checked.set_caching_options(False)  # it looks at a machine, which changes
    place("feature_extraction", checked)
    return checked


def extract(corpus: Any, place: Place, parts: int, *, after: Any = None, **settings: Any) -> Any:
    """The output with the features; to be called within a pipeline.

    Args:
        corpus: The output with the corpus.
        place: Told of each task.
        parts: How many are computed at once.
        after: A task that must have succeeded before; None if there is none.
        settings: Inputs of the step but the corpus.
    """
    if parts == 1:
        whole = feature_extraction(corpus=corpus, **settings)
        place("feature_extraction", _after(after, whole))
        return whole.outputs["features"]
    with dsl.ParallelFor(list(range(parts))) as number:
        part = extract_part(corpus=corpus, number=number, of=parts, **settings)
        place("feature_extraction", _after(after, part))
    joined = join_features(parts=dsl.Collected(part.outputs["features"]))
    place("feature_extraction", joined)
    return joined.outputs["features"]


def _after(earlier: Any, task: Any) -> Any:
    return task if earlier is None else task.after(earlier)
