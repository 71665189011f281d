"""`ser-server`: serves models over gRPC and HTTP."""

from __future__ import annotations

import sys

import pydantic
from pydantic_settings import CliApp

from ser.request import DEFAULT_MODEL_TYPE
from ser_inference_server import logs
from ser_inference_server.ports import PortError
from ser_inference_server.settings import Settings
from ser_inference_server.supervisor import StartError, Supervisor, model_root_hint


def main() -> None:
    """Reads the settings, serves until SIGTERM or SIGINT.

    Exit status 2 for a wrong setting, 7 if another process has a port or runs the jobs of the queue, 1 if a worker does
    not come up.
    """
    try:
        settings = CliApp.run(Settings)
    except pydantic.ValidationError as error:
        sys.stderr.write(explain("ser-server", error))
        sys.exit(2)
    logs.configure(settings.log_level, settings.log_format)
    try:
        supervisor = Supervisor(settings)
        with supervisor.start():
            sys.stdout.write(_welcome(supervisor.settings))
            sys.stdout.flush()
            supervisor.run()
    except PortError as error:
        sys.stderr.write(f"ser-server: {error}\n")
        sys.exit(7)
    except StartError as error:
        sys.stderr.write(f"ser-server: {error}\n")
        sys.exit(7 if error.taken else 1)


def explain(program: str, error: pydantic.ValidationError) -> str:
    """Wrong settings, one line each, under the names that people set them by."""
    lines = []
    for detail in error.errors():
        name = "_".join(map(str, detail["loc"]))
        where = f"SER_{name.upper()} (--{name.replace('_', '-')}): " if name else ""
        lines.append(f"{program}: {where}{detail['msg'].removeprefix('Value error, ')}\n")
    return "".join(lines)


def _welcome(settings: Settings) -> str:
    scheme = "https" if settings.tls_cert else "http"
    model_id = model_root_hint(settings.model_root)
    address = f"{scheme}://{settings.host}:{settings.http_port}"
    token = " -H 'authorization: Bearer …'" if settings.token_file else ""
    return (
        f"gRPC on {settings.host}:{settings.grpc_port}, HTTP on {address} (the API's page is there), "
        f"{settings.workers} workers\n"
        f'train    curl{token} {address}/train --json \'{{"data_path": "{settings.data_root}", "remote_url": '
        f'"embedded:", "model_type": "{DEFAULT_MODEL_TYPE}", "model_save_path": "{settings.model_root}"}}\'\n'
        f"predict  curl{token} {address}/predict -F audio=@YOUR.wav -F model_id={model_id}\n"
    )
