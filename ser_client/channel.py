"""How a client reaches a server: address, TLS, token, retries, limits."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from ser.errors import ConfigError, FieldViolation

SERVICE = "ser.v1.SpeechEmotionRecognition"
_IDEMPOTENT = (
    "Predict", "GetTrainingJob", "ListTrainingJobs", "CancelTrainingJob", "ListModels", "GetModel", "GetReport",
    "ListSpeakers",
)  # fmt: skip
"""RPCs that may be sent again: a training that was started twice would be two."""
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    # A server that is just stopping cancels a call that it has not taken yet: gRPC does, nothing was done.
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}


@dataclass(frozen=True)
class Connection:
    """Whom to call, and how."""

    target: str
    """host:port."""
    token: str | None = None
    """Bearer token."""
    tls_ca: Path | None = None
    """PEM file of the authority that the server's certificate is from; with it the connection is TLS."""
    tls_cert: Path | None = None
    """PEM file of this client's certificate, for mutual TLS."""
    tls_key: Path | None = None
    """PEM file of its key."""
    tls: bool = False
    """TLS with the authorities that the system trusts."""

    def __post_init__(self) -> None:
        if self.token and not self.is_tls and not _is_loopback(self.target):
            raise ConfigError(
                [
                    FieldViolation(
                        "token", f"expected TLS to {self.target}: without, everybody on the way reads the token"
                    )
                ]
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError([FieldViolation("tls_cert", "expected tls_cert and tls_key, or neither")])

    @property
    def is_tls(self) -> bool:
        """Whether what is sent can be read on the way."""
        return self.tls or self.tls_ca is not None

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        """What each call brings."""
        return [("authorization", f"Bearer {self.token}")] if self.token else []

    @property
    def options(self) -> Sequence[tuple[str, object]]:
        """GRPC's settings of the channel."""
        names = [{"service": SERVICE, "method": method} for method in _IDEMPOTENT]
        config = {"methodConfig": [{"name": names, "retryPolicy": _RETRIES}]}
        return [
            ("grpc.service_config", json.dumps(config)),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS, or None."""
        if not self.is_tls:
            return None
        ca, key, cert = (path.read_bytes() if path else None for path in (self.tls_ca, self.tls_key, self.tls_cert))
        return grpc.ssl_channel_credentials(ca, key, cert)


def _is_loopback(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or target.startswith("unix:")
