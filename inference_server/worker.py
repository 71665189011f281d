"""One serving process: gRPC and HTTP in one event loop, its order as JSON on standard input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass

import ai_edge_litert.interpreter  # noqa: F401 - here, lest the first call wait for it
import uvloop

from ser.parallel import keep_freed_memory
from ser_inference_server import grpc_server, http_server, logs
from ser_inference_server.calls import Calls
from ser_inference_server.gateway.app import Gateway
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.service import SpeechEmotionRecognition
from ser_inference_server.settings import Settings

KEPT_BYTES = 32 << 20
"""Freed memory that a worker keeps: the arrays of a prediction or two, whose pages would be cleared anew each time."""
SECONDS_BETWEEN_HEARTBEATS = 0.5
"""How often the event loop shows that it turns; the least `worker_silence_seconds` is twice that."""
logger = logging.getLogger("ser.worker")


@dataclass(frozen=True)
class Order:
    """What the supervisor tells a worker."""

    settings: Settings
    http_socket: int
    """Descriptor of the listening socket that all workers share."""
    heartbeats: int
    """Descriptor to write a byte to once calls are taken, and then now and again."""


def main() -> None:
    """Serves until SIGTERM, then lets calls under way end."""
    keep_freed_memory(KEPT_BYTES)
    order = json.load(sys.stdin)
    settings = Settings.model_validate(order["settings"])
    logs.configure(settings.log_level, settings.log_format)
    with logs.native_lines(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Order(settings, order["http_socket"], order["heartbeats"])))


async def _serve(order: Order) -> None:
    settings = order.settings
    calls, jobs = Calls(settings), JobQueue(settings.jobs_path)
    service = SpeechEmotionRecognition(settings, calls, jobs)
    gateway = Gateway(grpc_server.SERVICE, service, calls, jobs, settings)
    http = http_server.create_server(gateway, settings)
    grpc, healths = grpc_server.create_server(settings, calls, service)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await grpc.start()
    await grpc_server.set_serving(healths, True)
    # Its first beat comes before the first call can: a worker that has answered is known to have lived.
    beating = asyncio.create_task(_beat(order.heartbeats, stop))
    serving = asyncio.create_task(http._serve([socket.socket(fileno=order.http_socket)]))
    while not http.started and not serving.done():
        await asyncio.sleep(0.005)
    refreshing = asyncio.create_task(service.refresh())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping: calls under way may end")
    calls.stopping.set()
    await grpc_server.set_serving(healths, False)
    http.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(serving, grpc.stop(settings.grace_seconds))
    refreshing.cancel()
    beating.cancel()
    service.close()
    jobs.close()


async def _beat(pipe: int, stop: asyncio.Event) -> None:
    """Tells the supervisor that this event loop turns: first of all that calls are taken. Stops when it is gone."""
    os.set_blocking(pipe, False)
    while True:
        try:
            os.write(pipe, b"1")
        except BlockingIOError:  # full: the supervisor is held up, and will find enough
            pass
        except BrokenPipeError:
            stop.set()
            return
        await asyncio.sleep(SECONDS_BETWEEN_HEARTBEATS)
