"""A model that commands ask: one of this machine's, or a server's, with one face."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from ser.errors import ConfigError, FieldViolation
from ser.features import About
from ser.predictor import Prediction, Predictor
from ser.speakers.enrolment import KnownSpeaker

ModelId = Annotated[str | None, typer.Option(help="Which model; by default the newest.")]
Server = Annotated[str | None, typer.Option(help="Ask the server at host:port, over gRPC.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the server's bearer token.")]
TlsCa = Annotated[Path | None, typer.Option(help="PEM file of the server's authority; the way is TLS.")]


class AnySpeakers(Protocol):
    """See `ser.speakers.enrolment.Speakers`."""

    def list(self) -> list[KnownSpeaker]:
        """See `Speakers.list`."""

    def delete(self, speaker: str) -> None:
        """See `Speakers.delete`."""


class AnyPredictor(Protocol):
    """See `ser.predictor.Predictor`."""

    @property
    def model_id(self) -> str:
        """See `Predictor.model_id`."""

    @property
    def speakers(self) -> AnySpeakers:
        """See `Predictor.speakers`."""

    def listen_to(self, recordings: Sequence[Path]) -> Any:
        """See `Predictor.listen_to`."""

    def predict(
        self, recording: Path, *, about: About, enrollment_clips: Any, name: str, threshold: float
    ) -> Prediction:
        """See `Predictor.predict`."""

    def predict_sample(self, sample_name: str, *, threshold: float) -> Prediction:
        """See `Predictor.predict_sample`."""

    def enroll(self, speaker: str, recordings: Sequence[Path], *, replace: bool) -> int:
        """See `Predictor.enroll`."""


def open_predictor(
    model_save_path: str, model_id: str | None, server: str | None, token_file: Path | None, tls_ca: Path | None
) -> AnyPredictor:
    """The model that the options name.

    Raises:
        NotFoundError: If there is none.
        MissingExtraError: If what the model, or asking a server, needs is not installed.
        SerError: If it is damaged, or the server refuses or does not answer.
    """
    if not server:
        return Predictor(model_save_path, model_id)
    # The client is another package, which knows gRPC; this one finds it by its entry point.
    found = importlib.metadata.entry_points(group="ser.remote", name="predictor")
    token = _read_line(token_file) if token_file else None
    predictor: AnyPredictor = next(iter(found)).load()(server, model_id, token=token, tls_ca=tls_ca)
    return predictor


def _read_line(path: Path) -> str:
    """The first line of a file that is not a comment.

    Raises:
        ConfigError: If there is none.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line and not line.startswith("#"):
            return line
    raise ConfigError([FieldViolation("token_file", f"expected a token in {path}")])
