"""The list of a place's models: one that cannot be read, or takes too long, is left out, and holds up no other."""

from __future__ import annotations

import asyncio
import logging

from ser.bundles.model_store import list_models, load_manifest
from ser.errors import DamagedError, NotFoundError, StorageError
from ser_api.v1 import ser_pb2
from ser_inference_server import convert
from ser_inference_server.calls import Call
from ser_inference_server.failures import HeldUpError
from ser_inference_server.threads import FILE_THREADS, Threads

MANIFEST_SECONDS = 5.0
"""How long a manifest is waited for."""
_AT_ONCE = FILE_THREADS
logger = logging.getLogger("ser.models")


async def summaries(place: str, threads: Threads, call: Call) -> list[ser_pb2.ModelSummary]:
    """A line for each model, sorted by id; what is left out is logged.

    Raises:
        StoreError: If the object store cannot be reached.
        HeldUpError: If the folder itself cannot be read, because too many threads are held up.
        DeadlineError: If the call's deadline passes first.
    """
    ids = await threads.shared(("list", place), lambda: list_models(place), call, "the list of models")
    found: list[ser_pb2.ModelSummary] = []
    for start in range(0, len(ids), _AT_ONCE):
        some = [_summary(place, model_id, threads, call) for model_id in ids[start : start + _AT_ONCE]]
        found += [summary for summary in await asyncio.gather(*some) if summary is not None]
    return found


async def _summary(place: str, model_id: str, threads: Threads, call: Call) -> ser_pb2.ModelSummary | None:
    def read() -> ser_pb2.ModelSummary:
        return convert.model_summary(load_manifest(place, model_id))

    of = f"the manifest of model {model_id}"
    try:
        return await threads.shared(("manifest", place, model_id), read, call, of, patience=MANIFEST_SECONDS)
    except NotFoundError:  # deleted meanwhile
        return None
    except (DamagedError, StorageError, HeldUpError) as error:
        logger.warning("model left out of the list: %s", error, extra={"model_id": model_id})
        return None
