"""(a) Flask, `model.predict`, librosa: what tutorials show. `python flask_app.py BUNDLE PORT`."""

from __future__ import annotations

import sys

from flask import Flask, request
from librosa_model import LibrosaModel

model = LibrosaModel(sys.argv[1], compiled=False)
app = Flask(__name__)


@app.post("/predict")
def predict() -> dict[str, float]:
    """Label to probability of the body."""
    return model(request.get_data())


app.run("127.0.0.1", int(sys.argv[2]), threaded=True)
