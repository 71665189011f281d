"""A real container engine with the project's images: `make images` first."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import docker.errors
import pytest

from ser_components.images import STEPS, image
from ser_pipelines.containers import find_image


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[docker.DockerClient]:
    """Docker, or Podman behind its socket, with all images built."""
    try:
        client = docker.from_env(timeout=300)
        client.ping()
        for name in (*STEPS, "server"):
            find_image(client, image(name))
    except (docker.errors.DockerException, LookupError) as error:
        if request.config.getoption("--require-containers"):
            pytest.fail(f"expected a container engine with the images (make images): {error}")
        pytest.skip("no container engine with the images (make images)")
    yield client
    client.close()
