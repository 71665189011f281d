"""Containers that end by themselves."""

from __future__ import annotations

from typing import Any

import docker

from ser_components.images import image
from ser_pipelines.containers import find_image

MOST_SECONDS = 120


def run_to_end(
    engine: docker.DockerClient, name: str, command: list[str] | None = None, **settings: Any
) -> tuple[int, str]:
    """The exit status and the output of an image's command, in a container that is gone then.

    It is waited for with a deadline, and read afterwards: the stream of a container that has ended may stay open.
    """
    container = engine.containers.run(
        find_image(engine, image(name)), command, detach=True, read_only=True, tmpfs={"/tmp": ""}, **settings
    )
    try:
        status = container.wait(timeout=MOST_SECONDS)["StatusCode"]
        return int(status), container.logs().decode()
    finally:
        container.remove(force=True)
