"""Run the pipeline's steps here in their containers, by Docker or by Podman's socket.

KFP 2.17's own task handler cannot be used as it is: it lets the engine remove a container at its end, and when that
happens before the exit code was read, it takes the step for a success (docs/upstream.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
from kfp import local
from kfp.local import docker_task_handler, status, task_handler_interface

from ser.cli.console import ERROR_PREFIX
from ser.errors import TrainingError

_LARGEST_OF_SER = 127
"""Above are the statuses of processes that a signal ended, 128 and its number."""


@contextlib.contextmanager
def container_runner(writable: Sequence[Path], readable: Sequence[Path] = ()) -> Iterator[local.DockerRunner]:
    """A runner for `kfp.local.init`, in effect until the end of the context.

    The root file system of the containers is read-only; they run as the user who asks. A step that ends with another
    status than 0, or whose container is killed, fails.

    Args:
        writable: Folders that the steps see under the same paths as here, and write into; they must exist.
        readable: Files and folders that they see and read.

    Raises:
        TrainingError: If no engine answers.
    """
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise TrainingError(
            "no container engine answers: start Docker, or Podman's socket and let DOCKER_HOST name it, or run the "
            f"steps as processes (--runner subprocess). {error}"
        ) from error
    mounts = {str(path): {"bind": str(path), "mode": "rw"} for path in writable}
    mounts |= {str(path): {"bind": str(path), "mode": "ro"} for path in readable}

    class Handler(_ContainerTask):
        engine = client
        volumes = mounts

    replaced = docker_task_handler.DockerTaskHandler
    docker_task_handler.DockerTaskHandler = Handler
    try:
        yield local.DockerRunner()
    finally:
        docker_task_handler.DockerTaskHandler = replaced
        client.close()


class _ContainerTask(task_handler_interface.ITaskHandler):  # type: ignore[misc]  # kfp has no types
    """One step in a container."""

    engine: docker.DockerClient
    volumes: Mapping[str, Any]

    def __init__(
        self,
        image: str,
        full_command: list[str],
        pipeline_root: str,
        runner: local.DockerRunner,
        env_vars: dict[str, str] | None = None,
    ) -> None:
        self._image = image
        self._command = full_command
        self._pipeline_root = pipeline_root
        self._runner = runner
        self._environment = env_vars or {}

    def run(self) -> status.Status:
        """Runs the step, prints what it prints, and says how it ended."""
        try:
            image = find_image(self.engine, self._image)
        except LookupError as error:
            print(f"{ERROR_PREFIX}{error}")
            return status.Status.FAILURE
        container = self.engine.containers.create(
            image,
            self._command,
            environment=self._environment,
            volumes={**self.volumes, self._pipeline_root: {"bind": self._pipeline_root, "mode": "rw"}},
            user=f"{os.getuid()}:{os.getgid()}",
            read_only=True,
            tmpfs={"/tmp": "mode=1777"},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            **self._runner.container_run_args,
        )
        try:
            container.start()
            # In pieces, as the engine sends them: they may end within a line, and within a character.
            text = b""
            for part in container.logs(stream=True, follow=True):
                *lines, text = (text + part).split(b"\n")
                for line in lines:
                    print(line.decode(errors="replace"))
            if text:
                print(text.decode(errors="replace"))
            code = container.wait()["StatusCode"]
        finally:
            container.remove(force=True, v=True)
        if code > _LARGEST_OF_SER:  # others say themselves what was wrong
            print(f"{ERROR_PREFIX}the container of {self._image} was killed (status {code})")
        return status.Status.SUCCESS if code == 0 else status.Status.FAILURE


def find_image(engine: docker.DockerClient, name: str) -> str:
    """The id of a local image.

    Args:
        engine: Where to look.
        name: Its name and tag; Podman puts a host before names that have none.

    Raises:
        LookupError: If it is not there.
    """
    for prefix in ("", "localhost/", "docker.io/library/"):
        with contextlib.suppress(docker.errors.ImageNotFound):
            return str(engine.images.get(prefix + name).id)
    raise LookupError(f"no image {name} here; build it: make images")
