"""A process that has what serving has, and what it computes there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt

HEAVY = ("keras", "kfp", "librosa", "matplotlib", "numba", "sklearn", "tensorflow")
"""What is not installed where models are served."""
_SECONDS = 300


def computed_while_serving(code: str, *, knows: type[object]) -> npt.NDArray[np.float64]:
    """The numbers that a piece of code computes in a fresh process without the packages of `HEAVY`.

    Args:
        code: Python that leaves an array of numbers in `answer`.
        knows: A class whose module is imported first, for it registers itself there.

    Returns:
        float64, shape as of `answer`.

    Raises:
        AssertionError: If the code fails there.
    """
    whole = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({HEAVY!r}))\n"
        f"importlib.import_module({knows.__module__!r})\n"
        f"{code}\n"
        "import json, numpy\n"
        "answer = numpy.asarray(answer, dtype=numpy.float64)\n"
        "print(json.dumps({'shape': answer.shape, 'numbers': [number.hex() for number in answer.ravel().tolist()]}))\n"
    )
    ended = subprocess.run(  # noqa: S603 - this interpreter, and code of these checks
        [sys.executable, "-c", whole],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True, text=True, check=False, timeout=_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 0, f"{knows.__name__} does not work where models are served:\n{ended.stderr}"
    found = json.loads(ended.stdout.splitlines()[-1])
    return np.array([float.fromhex(number) for number in found["numbers"]]).reshape(found["shape"])
