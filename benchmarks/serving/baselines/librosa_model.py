"""A SER model as people serve one who have librosa and TensorFlow: the features by librosa, the network by Keras."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{name}_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


class LibrosaModel:
    """Reads a bundle whose only method is MFCC."""

    def __init__(self, folder: str, *, compiled: bool) -> None:
        """Loads the network.

        Args:
            folder: The bundle.
            compiled: By a `tf.function` of one trace a number of pieces; else by `keras.Model.predict`.
        """
        import keras
        import numpy as np
        import tensorflow as tf

        manifest = json.loads((Path(folder) / "manifest.json").read_text())
        self.classes: list[str] = manifest["classes"]
        self._piece_samples: int = manifest["frontend"]["piece_samples"]
        self._config: dict[str, Any] = manifest["frontend"]["methods"]["MFCC"]
        with np.load(Path(folder) / "frontend.npz") as arrays:
            self._mean, self._inverse = arrays["standardiser/mean"], arrays["standardiser/inverse_deviation"]
        model = keras.saving.load_model(Path(folder) / "model.keras", compile=False)
        if compiled:
            call = tf.function(lambda rows: model(rows, training=False), reduce_retracing=True)
            self._network = lambda rows: call(tf.constant(rows)).numpy()
        else:
            self._network = lambda rows: model.predict(rows, verbose=0)

    def __call__(self, audio: bytes) -> dict[str, float]:
        """Label to probability."""
        rows = (self._features(audio) - self._mean) * self._inverse
        mean = self._network(rows).mean(axis=0)
        return dict(zip(self.classes, map(float, mean), strict=True))

    def _features(self, audio: bytes) -> Any:
        import librosa
        import numpy as np

        samples, rate_hz = librosa.load(io.BytesIO(audio), sr=16_000)
        samples = samples / np.abs(samples).max()
        rows = []
        for start in range(0, len(samples), self._piece_samples):
            piece = samples[start : start + self._piece_samples]
            piece = np.pad(piece, (0, self._piece_samples - len(piece)))
            rows.append(self._mfcc(piece, rate_hz).ravel())
        return np.stack(rows).astype(np.float32)

    def _mfcc(self, piece: Any, rate_hz: float) -> Any:
        import librosa
        import numpy as np

        config = self._config
        shape = {
            "n_fft": config["fft_length"],
            "hop_length": round(config["frame_stride"] * rate_hz),
            "win_length": round(config["frame_length"] * rate_hz),
        }
        power = np.abs(librosa.stft(piece, pad_mode="constant", **shape)) ** 2
        mel = librosa.feature.melspectrogram(
            S=power, sr=rate_hz, n_fft=shape["n_fft"], n_mels=config["num_filters"], fmin=config["low_frequency"]
        )
        cepstrum = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=config["num_cepstral"]).T
        if config["dc_elimination"]:
            cepstrum[:, 0] = np.log(np.maximum(power.mean(axis=0), 1e-10))
        return cepstrum
