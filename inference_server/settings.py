"""The server's settings: typed, from flags and `SER_…` environment variables; flags take precedence."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ser.audio.recordings import MAX_SECONDS
from ser.parallel import available_cores
from ser.storage.access import SCHEMES, Access
from ser.storage.archive import Limits
from ser.storage.stores import cache_folder, is_address, local_path
from ser_inference_server.gateway.origins import served_names
from ser_inference_server.tokens import Tokens

Port = Annotated[int, Field(ge=0, le=65_535)]
MEGABYTE = 1 << 20


class Settings(BaseSettings):
    """Serve speech-emotion models: gRPC, and the same over HTTP.

    Each flag is also an environment variable: --http-port is SER_HTTP_PORT.
    """

    model_config = SettingsConfigDict(
        env_prefix="SER_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="ser-server",
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    host: str = "127.0.0.1"
    """Address to listen on. A public one wants TLS or tokens."""
    http_port: Port = 5000
    """Port of HTTP; 0 takes a free one."""
    grpc_port: Port = 50051
    """Port of gRPC; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=available_cores)
    """Serving processes on the shared ports; by default one a core."""
    worker_silence_seconds: Annotated[float, Field(ge=1)] = 10.0
    """A worker whose event loop gives no sign of life for so long is killed and replaced."""

    data_root: str = "data"
    """Folder that every data_path lies in, or its address in an object store."""
    model_root: str = "models"
    """Folder that every model_save_path lies in, and the default of the calls that read models; or its address in an
    object store, as s3://bucket/models."""
    state_root: Path | None = None
    """Folder of the training jobs' state; by default .server in the data root, or in its local cache."""
    refresh_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often models and speakers from an object store are compared with what is there."""

    allowed_schemes: str = "http,https,embedded"
    """What a remote_url may begin with, comma-separated: http, https, embedded, file."""
    allowed_hosts: str = ""
    """Hosts that remote_url may name although they are private, comma-separated: names or addresses, host:port for one
    port only."""

    served_names: str = ""
    """Names that this server is called by over HTTP, besides localhost and its own addresses, comma-separated:
    ser.example.org, name:port for one port only, *.example.org for all below it, and https://name where something in
    front of this server speaks TLS. Calls by other names are refused: a page can be made to lead here."""
    token_file: Path | None = None
    """File of bearer tokens, one a line; each call must bring one. A token may do all; with " predict" behind it, use
    models and nothing else."""
    tls_cert: Path | None = None
    """PEM file of the certificate (chain)."""
    tls_key: Path | None = None
    """PEM file of its key."""
    tls_client_ca: Path | None = None
    """PEM file of the authority that clients' certificates must be from (mutual TLS)."""
    allow_insecure: bool = False
    """Listen on a public address without TLS and tokens."""

    max_message_bytes: Annotated[int, Field(ge=1_024)] = 32 * MEGABYTE
    """Largest message or body."""
    max_audio_seconds: Annotated[float, Field(gt=0)] = MAX_SECONDS
    """Longest recording."""
    max_call_audio_seconds: Annotated[float, Field(gt=0)] = 2 * MAX_SECONDS
    """Most sound in one call, its recordings together."""
    max_bytes_in_flight: Annotated[int, Field(ge=1_024)] | None = None
    """Most bytes of messages and bodies that are there at once, come whole or not, a worker; by default those of eight
    largest ones."""
    max_clips: Annotated[int, Field(ge=1)] = 64
    """Most recordings in one call."""
    max_calls: Annotated[int, Field(ge=1)] = 64
    """Most short calls at once, a worker."""
    max_streams: Annotated[int, Field(ge=1)] = 64
    """Most calls that stay open at once (Train, watching, streaming), a worker."""
    max_calls_per_caller: Annotated[int, Field(ge=1)] = 32
    """Most short calls at once of one token, or of one address where there are no tokens, a worker."""
    max_streams_per_caller: Annotated[int, Field(ge=1)] = 32
    """Most calls that stay open at once of one token, or of one address where there are no tokens, a worker."""
    max_connections: Annotated[int, Field(ge=1)] = 512
    """Most HTTP connections, a worker."""
    max_connections_per_caller: Annotated[int, Field(ge=1)] = 256
    """Most HTTP connections of one address, a worker."""
    max_body_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest that a request's head or body may take to arrive."""
    max_call_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest that a short call may take; a caller's own deadline may be shorter."""
    max_queued_jobs: Annotated[int, Field(ge=0)] = 16
    """Most training jobs that wait."""
    max_training_seconds: Annotated[float, Field(gt=0)] = 24 * 3600.0
    """Longest that a training may run."""
    job_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that a training job which is over stays in the queue's table."""
    training_slots: Annotated[int, Field(ge=0)] = 1
    """Training jobs that run at once; 0 leaves them to a ser-trainer over the same folders."""
    training_backend: Literal["local", "kubeflow"] = "local"
    """Where trainings run: in child processes, or as runs of the training pipeline on a Kubeflow host."""
    kubeflow_host: str = ""
    """Address of the Kubeflow Pipelines API, as https://kubeflow.example.org/pipeline; its bearer token is in
    KFP_TOKEN."""
    kubeflow_namespace: str = ""
    """Namespace of the runs, on a multi-user host."""
    kubeflow_experiment: str = "ser"
    """Experiment of the runs."""
    kubeflow_pipeline: Path | None = None
    """Compiled training pipeline (ser pipeline compile --cluster); by default the one in the package."""
    kubeflow_poll_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often a run is looked at."""
    minimum_uar: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least UAR of a model that a run on Kubeflow saves."""
    max_download_bytes: Annotated[int, Field(ge=1)] = 2 << 30
    """Largest corpus zip."""
    max_unpacked_bytes: Annotated[int, Field(ge=1)] = 8 << 30
    """Largest corpus, unpacked."""
    max_corpus_files: Annotated[int, Field(ge=1)] = 200_000
    """Most files in a corpus zip."""
    max_loaded_models: Annotated[int, Field(ge=1)] = 8
    """Models kept in memory, a worker."""

    grace_seconds: Annotated[float, Field(gt=0)] = 8.0
    """How long calls may go on after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe of what is logged."""
    log_format: Literal["json", "text"] = "json"
    """Log lines as JSON objects or for people."""

    @pydantic.field_validator("allowed_schemes")
    @classmethod
    def _known_schemes(cls, value: str) -> str:
        unknown = set(_listed(value)) - SCHEMES
        if unknown:
            raise ValueError(f"expected of {', '.join(sorted(SCHEMES))}, comma-separated, got {', '.join(unknown)}")
        return value

    @pydantic.field_validator("served_names")
    @classmethod
    def _names(cls, value: str) -> str:
        served_names(value)
        return value

    @pydantic.model_validator(mode="after")
    def _safe(self) -> Self:
        if self.max_bytes_in_flight is not None and self.max_bytes_in_flight < self.max_message_bytes:
            raise ValueError("max_bytes_in_flight: expected at least max_message_bytes, for one message")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key: expected both or neither")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca: expected tls_cert and tls_key beside it")
        for name in ("token_file", "tls_cert", "tls_key", "tls_client_ca"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: there is no file {path}")
        try:
            self.tokens  # noqa: B018 - reads them
        except (ValueError, OSError) as error:
            raise ValueError(f"token_file: {error}") from None
        if self.tls_cert:
            try:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.tls_client_ca)
                context.load_cert_chain(self.tls_cert, self.tls_key)
            except OSError as error:
                raise ValueError(f"tls_cert, tls_key, tls_client_ca: expected PEM files that fit: {error}") from None
        if not (self.token_file or self.tls_cert or self.allow_insecure or _is_loopback(self.host)):
            raise ValueError(
                f"host: {self.host} is public: expected token_file, or tls_cert and tls_key, or allow_insecure "
                "where something in front of this server checks its callers"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _trainable(self) -> Self:
        if self.training_backend == "kubeflow" and not self.kubeflow_host:
            raise ValueError("kubeflow_host: expected the API's address, as training_backend is kubeflow")
        if self.kubeflow_pipeline is not None and not self.kubeflow_pipeline.is_file():
            raise ValueError(f"kubeflow_pipeline: there is no file {self.kubeflow_pipeline}")
        return self

    @cached_property
    def tokens(self) -> Tokens | None:
        """The bearer tokens allowed; None if none is wanted."""
        return Tokens(self.token_file) if self.token_file else None

    @property
    def access(self) -> Access:
        """What `remote_url` may name."""
        return Access(
            schemes=frozenset(_listed(self.allowed_schemes)),
            private=False,
            hosts=frozenset(_listed(self.allowed_hosts)),
        )

    @property
    def limits(self) -> Limits:
        """How large a corpus may be."""
        return Limits(self.max_download_bytes, self.max_unpacked_bytes, self.max_corpus_files)

    @property
    def jobs_path(self) -> Path:
        """Where the training jobs' state lies."""
        return (self.state_root or local_folder(self.data_root) / ".server") / "jobs.sqlite"


def local_folder(place: str) -> Path:
    """The folder of a place; of an address, that of its local copies."""
    return cache_folder(place) if is_address(place) else local_path(place)


def _listed(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _is_loopback(host: str) -> bool:
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host or "0.0.0.0", None)}  # noqa: S104 - what "" means
    except OSError as error:
        raise ValueError(f"host: {host}: {error}") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)
