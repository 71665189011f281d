"""The ways into `ser-server` and `ser-trainer`: they say what is missing before anything of it is imported."""

from __future__ import annotations

from ser.cli.console import errors_as_lines
from ser.extras import require


def server() -> None:
    """`ser-server`; see `ser_inference_server.cli.main`."""
    with errors_as_lines("ser-server"):
        require("serving", "server")
    from ser_inference_server.cli import main

    main()


def trainer() -> None:
    """`ser-trainer`; see `ser_inference_server.jobs.trainer.main`."""
    with errors_as_lines("ser-trainer"):
        require("training for a server", "trainer")
    from ser_inference_server.jobs.trainer import main

    main()
