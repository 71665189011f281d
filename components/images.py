"""The steps' container images, named in one place."""

import os

from ser.version import VERSION

STEPS = ("download", "feature_extraction", "training", "evaluation")
REGISTRY_VARIABLE = "SER_IMAGE_REGISTRY"
"""Environment variable with the registry and folder that a cluster pulls from, as `registry.example.org/ser`."""


def image(step: str) -> str:
    """The image of a step, or of the server.

    The tag is the package's version: KFP's cache takes an image's name for its content, so a tag that moves
    would give stale results.
    """
    name = f"ser-{step.replace('_', '-')}:{VERSION}"
    registry = os.environ.get(REGISTRY_VARIABLE, "").rstrip("/")
    return f"{registry}/{name}" if registry else name
