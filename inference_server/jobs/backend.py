"""What runs a training: the one interface that child processes and Kubeflow stand behind."""

from __future__ import annotations

from typing import Protocol

from ser_inference_server.jobs.store import Job, JobStore
from ser_inference_server.settings import Settings


class Run(Protocol):
    """A job under way. It writes into the queue how far it is, and what came out."""

    def is_over(self) -> bool:
        """Looks how it stands; once this is true the queue has the outcome. Returns at once."""
        ...

    def end(self) -> None:
        """Asks for its end; more than once is fine."""
        ...

    def kill(self) -> None:
        """Ends it, whatever it does."""
        ...

    def leave(self, seconds: float) -> bool:
        """The server stops: ends it within so many seconds, and gives true; or lets it go on, and gives false."""
        ...


class Backend(Protocol):
    """Starts trainings."""

    def start(self, job: Job) -> Run:
        """Starts a job that the queue has as running.

        Raises:
            SerError: If it cannot be started, which fails it.
            OSError: If the operating system refuses a process just now: the job waits.
        """
        ...

    def find(self, job: Job) -> Run | None:
        """A job that ran when the last server ended; None if it ended with it."""
        ...


def create_backend(settings: Settings, store: JobStore) -> Backend:
    """The backend that the settings name."""
    if settings.training_backend == "kubeflow":
        from ser_inference_server.jobs.kubeflow import KubeflowBackend

        return KubeflowBackend(settings, store)
    from ser_inference_server.jobs.local import LocalBackend

    return LocalBackend(settings, store)
