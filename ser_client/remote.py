"""What the commands ask that are given `--server`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ser.errors import NotFoundError
from ser.features import About
from ser.predictor import Prediction
from ser.speakers.enrolment import KnownSpeaker
from ser_client.answers import file_bytes
from ser_client.client import Client


class RemoteSpeakers:
    """The speakers of a server's model, with the face of `ser.speakers.enrolment.Speakers`."""

    def __init__(self, client: Client, model_id: str) -> None:
        self._client = client
        self._model_id = model_id

    def list(self) -> list[KnownSpeaker]:
        """See `Speakers.list`."""
        return [*self._client.speakers(self._model_id)]

    def delete(self, speaker: str) -> None:
        """See `Speakers.delete`."""
        self._client.delete_speaker(speaker, model_id=self._model_id)


class RemotePredictor:
    """A server's model with the face of `ser.predictor.Predictor`."""

    def __init__(self, target: str, model_id: str | None, *, token: str | None, tls_ca: Path | None) -> None:
        """Names the server; without a model id, its newest model is taken.

        Raises:
            NotFoundError: If the server has no model.
            ServerError: If it does not answer.
        """
        self._client = Client(target, token=token, tls_ca=tls_ca)
        self.model_id = model_id or self._newest(target)

    @property
    def speakers(self) -> RemoteSpeakers:
        """See `Predictor.speakers`."""
        return RemoteSpeakers(self._client, self.model_id)

    def listen_to(self, recordings: Sequence[Path]) -> Sequence[bytes]:
        """Reads them; it is the server that listens.

        Raises:
            NotFoundError: If one is not there.
        """
        return [file_bytes(recording) for recording in recordings]

    def predict(
        self,
        recording: Path,
        *,
        about: About,
        name: str,
        enrollment_clips: Sequence[bytes] = (),
        threshold: float = 0.0,
    ) -> Prediction:
        """See `Predictor.predict`."""
        return self._client.predict(
            recording,
            model_id=self.model_id,
            name=name,
            speaker=about.speaker or "",
            gender=about.gender or "",
            text=about.text or "",
            enrollment_clips=enrollment_clips,
            uncertain_below=threshold,
        )

    def enroll(self, speaker: str, recordings: Sequence[Path], *, replace: bool = False) -> int:
        """See `Predictor.enroll`."""
        return self._client.enroll_speaker(speaker, recordings, model_id=self.model_id, replace=replace).clips

    def predict_sample(self, sample_name: str, *, threshold: float) -> Prediction:
        """See `Predictor.predict_sample`."""
        return self._client.predict_sample(sample_name, model_id=self.model_id, uncertain_below=threshold)

    def _newest(self, target: str) -> str:
        models = self._client.models()
        if not models:
            raise NotFoundError(f"model_id: the server at {target} has no model yet")
        return max(models, key=lambda model: model.created.ToNanoseconds()).model_id
