"""A client of SER's server: `Client`, and `AsyncClient` for asyncio.

Example:
    >>> with Client("localhost:50051") as client:  # doctest: +SKIP
    ...     client.predict("clip.wav", model_id="KerasClassifier-0123456789ab").prediction
    'anger'
"""

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
