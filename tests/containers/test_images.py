from __future__ import annotations

import docker
import pytest

from ser_components.images import STEPS, image
from ser_pipelines.containers import find_image
from tests.containers.running import run_to_end

pytestmark = pytest.mark.timeout(1_800)

ALL = (*STEPS, "server")
BASE = "python:3.11-slim-bookworm"
MOST_MEGABYTES = {"server": 370, "download": 250}
"""Beyond the base image."""


def run(engine: docker.DockerClient, name: str, command: list[str]) -> str:
    status, output = run_to_end(engine, name, command, network_mode="none")
    assert status == 0, output
    return output


@pytest.mark.parametrize("name", ALL)
def test_it_runs_as_nobody_in_particular_with_its_packages_compiled(engine: docker.DockerClient, name: str) -> None:
    script = (
        "import importlib.util, os, pathlib, sys, numpy, ser\n"
        "compiled = [importlib.util.cache_from_source(module.__file__) for module in (numpy, ser)]\n"
        "print(os.getuid(), all(map(os.path.exists, compiled)), sys.version_info[:2])\n"
    )
    assert run(engine, name, ["python", "-c", script]) == "10001 True (3, 11)\n"


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_the_build_is_left(engine: docker.DockerClient, name: str) -> None:
    script = (
        "for tool in gcc cc make git; do command -v $tool; done; "
        "find / -xdev -path '*/opt/ser/*' \\( -name .cache -o -name '*?.lock' -o -name '*.whl' \\) 2>/dev/null; "
        "ls -A /src /root/.cache 2>/dev/null; true"
    )
    assert run(engine, name, ["sh", "-c", script]) == ""


@pytest.mark.parametrize("name", ["download", "feature_extraction", "server"])
def test_there_is_no_tensorflow(engine: docker.DockerClient, name: str) -> None:
    script = "import importlib.util as u; print([n for n in ('tensorflow', 'keras') if u.find_spec(n)])"
    assert run(engine, name, ["python", "-c", script]) == "[]\n"


def test_the_server_s_has_a_health_check(engine: docker.DockerClient) -> None:
    found = engine.images.get(find_image(engine, image("server")))
    # Podman's Docker-compatible API leaves the health check out of the image's config, not out of its history.
    made_by = [entry["CreatedBy"] for entry in found.history() if "HEALTHCHECK" in entry["CreatedBy"]]
    assert len(made_by) == 1
    assert "ser_inference_server.health" in made_by[0]


@pytest.mark.parametrize("name", sorted(MOST_MEGABYTES))
def test_it_is_small(engine: docker.DockerClient, name: str) -> None:
    added = engine.images.get(find_image(engine, image(name))).attrs["Size"]
    added -= engine.images.get(find_image(engine, BASE)).attrs["Size"]
    assert added / 1e6 <= MOST_MEGABYTES[name]


def test_images_share_their_first_layers(engine: docker.DockerClient) -> None:
    layers = [engine.images.get(find_image(engine, image(name))).attrs["RootFS"]["Layers"] for name in ALL]
    core = [found[:4] for found in layers]
    assert all(found == core[0] for found in core)


@pytest.mark.parametrize("name", ["feature_extraction", "training", "server"])
def test_the_encoder_is_in_it(engine: docker.DockerClient, name: str) -> None:
    assert run(engine, name, ["ser", "encoder", "verify"]).startswith("whisper-base is whole: /opt/ser/encoders/")
