"""Keeps the start-up chatter of native libraries out of the log.

TensorFlow and LiteRT write to file descriptor 2 that there is no GPU, which instructions they use and that they
started, before any setting of theirs can stop it (TF_CPP_MIN_LOG_LEVEL is read too late).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|I0000 "  # absl's level "information"
    rb"|W0000 .*(Ignoring Value for|ignoring)"
    rb"|E0000 .*cuda_platform\.cc.*(cuInit|CUDA error)"  # no GPU, said as an error
    rb"|=== Source Location Trace: ===|external/xla/.*/cuda_status\.cc:"  # and where it was said
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate"
)
_LOCK = threading.Lock()


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and passes on, at the end, what is not chatter."""
    with _LOCK, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
