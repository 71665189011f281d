"""`ser-trainer`: runs the training jobs of a server that has no slots of its own, over the same folders."""

from __future__ import annotations

import logging
import signal
import sys
import time

import pydantic
from pydantic_settings import CliApp

from inference_server import logs
from inference_server.cli import explain
from inference_server.jobs.runner import JobRunner
from inference_server.settings import Settings, local_folder

_TICK_SECONDS = 0.2
logger = logging.getLogger("ser.trainer")


def main() -> None:
    """Runs until SIGTERM or SIGINT; jobs under way then go back into the queue. Exit status 2 for a wrong setting.

    The settings are the server's; those of its ports and callers mean nothing here. One trainer a queue.
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
    local_folder(settings.model_root).mkdir(parents=True, exist_ok=True)
    runner = JobRunner(settings)
    logger.info("takes training jobs", extra={"queue": str(settings.jobs_path)})
    try:
        while not stop:
            runner.tick()
            time.sleep(_TICK_SECONDS)
    finally:
        runner.stop(settings.grace_seconds / 2)


if __name__ == "__main__":
    main()
