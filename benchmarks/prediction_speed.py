"""How long a model takes to predict a recording, everything included, on one core; and where the time goes.

    OMP_NUM_THREADS=1 python -m benchmarks.prediction_speed models EncoderClassifier-0123456789ab --seconds 3 60

"prediction" is of a WAV's bytes, in this process; "by the server" is the same bytes over HTTP, by a server of one
worker. What lies between the lines is overhead. On a machine that others use the least time tells most.
"""

from __future__ import annotations

import argparse
import http.client
import io
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.server_process import ServerProcess
from ser.acoustics import describe
from ser.audio.recordings import SAMPLE_RATE_HZ, decode
from ser.encoders import load_encoder
from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.encoder import without_silence
from ser.encoders.whisper import log_mel
from ser.features import About
from ser.features.extractors.speech_encoder import SpeechEncoder, pool
from ser.parallel import keep_freed_memory
from ser.predictor import Predictor
from ser_inference_server.worker import KEPT_BYTES

Work = Callable[[], object]


def main() -> None:
    """Prints the least and the median of all times, in milliseconds, by the length of the recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_save_path")
    parser.add_argument("model_id")
    parser.add_argument("--seconds", nargs="+", type=float, default=[3.0], help="of the recordings")
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    keep_freed_memory(KEPT_BYTES)  # as a server's worker does
    predictor = Predictor(arguments.model_save_path, arguments.model_id)
    root = Path(arguments.model_save_path).resolve()
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder), workers=1, training_slots=0, model_root=root) as server,
    ):
        for seconds in arguments.seconds:
            table = Table("", "least (ms)", "median (ms)", title=f"{seconds:g} s", box=None)
            samples = _voice(seconds)
            parts = _parts(predictor, samples) | {"by the server": _asking(server, arguments.model_id, samples)}
            for name, work in parts.items():
                table.add_row(name, *(f"{figure:.2f}" for figure in _timed(work, arguments.times)))
            Console().print(table)


def _parts(predictor: Predictor, samples: npt.NDArray[np.float32]) -> dict[str, Work]:
    content, frontend = _wav(samples), predictor.bundle.frontend
    rows = frontend.transform(samples, About())
    parts: dict[str, Work] = {
        "prediction": lambda: predictor.predict(content),
        "of which decoding": lambda: decode(content),
        "of which features": lambda: frontend.transform(samples, About()),
        "of which the network": lambda: predictor.bundle.predict(rows),
    }
    if frontend.extractors.keys() - {"SpeechEncoder"}:
        parts["of the features, descriptors"] = lambda: describe(samples)
    extractor = frontend.extractors.get("SpeechEncoder")
    if isinstance(extractor, SpeechEncoder) and isinstance(extractor.record, CatalogueRecord):
        parts |= _parts_of_encoder(extractor.record, frontend.split(samples))
    return parts


def _parts_of_encoder(record: CatalogueRecord, pieces: npt.NDArray[np.float32]) -> dict[str, Work]:
    encoder = load_encoder(record)
    speech, frames = [without_silence(piece) for piece in pieces], [encoder(piece) for piece in pieces]
    return {
        "of the features, the encoder": lambda: [encoder(piece) for piece in pieces],
        "of the encoder, silence at the ends": lambda: [without_silence(piece) for piece in pieces],
        "of the encoder, the spectrum": lambda: [log_mel(one) for one in speech],
        "of the features, statistics": lambda: [pool(one) for one in frames],
    }


def _asking(server: ServerProcess, model_id: str, samples: npt.NDArray[np.float32]) -> Work:
    """Predicts by the server, over one connection."""
    content, connection = _wav(samples), http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)

    def ask() -> None:
        connection.request("POST", f"/predict?model_id={model_id}", content, {"content-type": "audio/wav"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(said.decode())

    return ask


def _voice(seconds: float) -> npt.NDArray[np.float32]:
    """Harmonics of a pitch that wanders, interrupted by pauses, and some noise."""
    random = np.random.default_rng(0)
    time_axis = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(5 * time_axis)) / SAMPLE_RATE_HZ
    tone = sum((np.sin(number * phase) / number for number in range(1, 20)), np.zeros_like(time_axis))
    speaking = np.sin(2 * np.pi * 2 * time_axis) > -0.5
    return (tone * speaking * 0.2 + 0.002 * random.standard_normal(len(tone))).astype(np.float32)


def _wav(samples: npt.NDArray[np.float32]) -> bytes:
    """16-bit, at `SAMPLE_RATE_HZ`."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples / np.abs(samples).max() * 32_767).astype("<i2").tobytes())
    return buffer.getvalue()


def _timed(work: Work, times: int) -> tuple[float, float]:
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return min(taken), statistics.median(taken)


if __name__ == "__main__":
    main()
