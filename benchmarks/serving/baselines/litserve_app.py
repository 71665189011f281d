"""(c) LitServe, a `tf.function`, librosa; a worker a core. `python litserve_app.py BUNDLE PORT`."""

import os
import sys
from base64 import b64decode
from typing import Any

import litserve
from fastapi import Request
from librosa_model import LibrosaModel


class Emotion(litserve.LitAPI):
    """One recording a call."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - as LitServe calls it
        """Loads the model, once a worker."""
        self.model = LibrosaModel(sys.argv[1], compiled=True)

    def decode_request(self, request: Request) -> bytes:
        """LitServe hands bodies that are no JSON or form to nobody: the recording is base64 in one."""
        return b64decode(request["audio"])

    def predict(self, x: Any) -> dict[str, float]:
        """Label to probability."""
        return self.model(x)

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        """As it is."""
        return output


if __name__ == "__main__":
    api = Emotion(api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
