"""What `ser predict --server` predicts with."""

from __future__ import annotations

from pathlib import Path

from ser.errors import NotFoundError
from ser.features import About
from ser.predictor import Prediction
from ser_client.client import Client


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

    def predict(self, recording: Path, *, about: About, name: str, threshold: float) -> Prediction:
        """See `Predictor.predict`."""
        who = {"speaker": about.speaker or "", "gender": about.gender or "", "text": about.text or ""}
        return self._client.predict(recording, model_id=self.model_id, name=name, uncertain_below=threshold, **who)

    def predict_sample(self, sample_name: str, *, threshold: float) -> Prediction:
        """See `Predictor.predict_sample`."""
        return self._client.predict_sample(sample_name, model_id=self.model_id, uncertain_below=threshold)

    def _newest(self, target: str) -> str:
        models = self._client.models()
        if not models:
            raise NotFoundError(f"model_id: the server at {target} has no model yet")
        return max(models, key=lambda model: model.created.ToNanoseconds()).model_id
