"""What Prometheus is told. Worker processes share their figures through files, so that any of them tells all."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ser.errors import SerError
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.jobs.store import State

CALLS = Counter("ser_calls", "Calls that have ended.", ["rpc", "protocol", "code"])
SECONDS = Histogram(
    "ser_call_seconds",
    "How long calls took.",
    ["rpc", "protocol"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
IN_FLIGHT = Gauge("ser_calls_in_flight", "Calls under way.", ["kind"], multiprocess_mode="livesum")
MODELS = Gauge("ser_models_loaded", "Models in memory, in all workers.", multiprocess_mode="livesum")
AUDIO_SECONDS = Counter("ser_audio_seconds", "Seconds of sound that were predicted.")


@functools.cache
def in_flight(kind: str) -> Gauge:
    """Calls under way, long or short."""
    return IN_FLIGHT.labels(kind)


@functools.cache
def ended(rpc: str, protocol: str, code: str) -> tuple[Counter, Histogram]:
    """Calls of a kind that have ended, and how long they took; there are some hundreds of kinds at most."""
    return CALLS.labels(rpc, protocol, code), SECONDS.labels(rpc, protocol)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
logger = logging.getLogger("ser.metrics")


class _Jobs(Collector):
    def __init__(self, counts: Mapping[State, int]) -> None:
        self._counts = counts

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily("ser_jobs", "Training jobs of each state; QUEUED is the queue.", labels=["state"])
        for state, count in self._counts.items():
            family.add_metric([state.value], count)
        return [family]


async def exposition(jobs: JobQueue) -> bytes:
    """The figures of all workers, in Prometheus's text format; without those of the queue if it cannot be read."""
    try:
        counts = await jobs.counts()
    except SerError as error:
        logger.warning("metrics lack ser_jobs: %s", error)
        counts = {}
    return await asyncio.to_thread(_exposition, counts)


def _exposition(counts: Mapping[State, int]) -> bytes:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    if counts:
        registry.register(_Jobs(counts))
    return generate_latest(registry)
