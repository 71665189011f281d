"""Features within a pipeline: in one go, or in parts that are computed at once."""

from typing import Any

from kfp import dsl

from components.feature_extraction.component import feature_extraction
from components.feature_extraction.join import join_features
from components.feature_extraction.part import extract_part
from pipelines.cluster import Place


def extract(corpus: Any, place: Place, parts: int, **settings: Any) -> Any:
    """The output with the features; to be called within a pipeline.

    Args:
        corpus: The output with the corpus.
        place: Told of each task.
        parts: How many are computed at once.
        settings: Inputs of the step but the corpus.
    """
    if parts == 1:
        whole = feature_extraction(corpus=corpus, **settings)
        place("feature_extraction", whole)
        return whole.outputs["features"]
    with dsl.ParallelFor(list(range(parts))) as number:
        part = extract_part(corpus=corpus, number=number, of=parts, **settings)
        place("feature_extraction", part)
    joined = join_features(parts=dsl.Collected(part.outputs["features"]))
    place("feature_extraction", joined)
    return joined.outputs["features"]
