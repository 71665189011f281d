"""TensorFlow, imported once, quiet and deterministic."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from ser.native_log import without_chatter
from ser.storage.scratch import keep_temporary_files_in_scratch


def import_tensorflow() -> Any:
    """Imports TensorFlow so that the same seed gives the same weights, bit for bit, on the same machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "tensorflow" not in sys.modules:
        keep_temporary_files_in_scratch()  # it writes Python files there, a dozen a training
    with without_chatter() if "tensorflow" not in sys.modules else contextlib.nullcontext():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.list_logical_devices()  # starts the devices, which has its own chatter
    return tf
