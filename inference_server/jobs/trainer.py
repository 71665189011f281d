"""`ser-trainer`: runs the training jobs of a server that has no slots of its own, over the same folders."""

from __future__ import annotations

import logging
import signal
import sys
import time

import pydantic
from pydantic_settings import CliApp

from ser_inference_server import logs
from ser_inference_server.cli import explain
from ser_inference_server.jobs.errors import NewerQueueError
from ser_inference_server.jobs.loop import JobLoop, QueueTakenError
from ser_inference_server.settings import Settings

_TICK_SECONDS = 0.1
logger = logging.getLogger("ser.trainer")


def main() -> None:
    """Runs until SIGTERM or SIGINT; jobs under way then go back into the queue.

    The settings are the server's; those of its ports and callers mean nothing here. Exit status 2 for a wrong
    setting, 7 if another trainer or server runs the jobs of this queue, or a later version wrote it.
    """
    try:
        settings = CliApp.run(Settings)
    except pydantic.ValidationError as error:
        sys.stderr.write(explain("ser-trainer", error))
        sys.exit(2)
    if settings.training_slots == 0:
        settings = settings.model_copy(update={"training_slots": 1})
    logs.configure(settings.log_level, settings.log_format)
    stop = False

    def end(number: int, frame: object) -> None:  # noqa: ARG001 - as signal wants it
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        loop = JobLoop(settings)
    except (QueueTakenError, NewerQueueError) as error:
        sys.stderr.write(f"ser-trainer: {error}\n")
        sys.exit(7)
    loop.start()
    logger.info("takes training jobs", extra={"queue": str(settings.jobs_path)})
    while not stop:
        time.sleep(_TICK_SECONDS)
    loop.stop(settings.grace_seconds / 2)
