"""A client of SER's server: `Client`, and `AsyncClient` for asyncio.

Example:
    >>> with Client("localhost:50051") as client:  # doctest: +SKIP
    ...     client.predict("clip.wav", model_id="EncoderClassifier-0123456789ab").prediction
    'anger'
"""

# ruff: noqa: E402 - what is missing is said before it is imported
from ser.extras import require

require("asking a server", "client")

from ser.speakers.enrolment import KnownSpeaker
from ser_client.answers import ModelIdentity, Recording, ServerPrediction, TrainResult
from ser_client.asynchronous import AsyncClient
from ser_client.client import Client
from ser_client.errors import ServerError

__all__ = [
    "AsyncClient",
    "Client",
    "KnownSpeaker",
    "ModelIdentity",
    "Recording",
    "ServerError",
    "ServerPrediction",
    "TrainResult",
]
