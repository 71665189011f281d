"""What a parent tells a child process: one JSON object on standard input."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any


@contextmanager
def order_file(order: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    """An order as the file that a child has for its standard input.

    A file in memory, not a pipe: whoever writes into a pipe waits for a child that does not read, or may be dead.
    """
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("order"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(json.dumps(order).encode())
        file.seek(0)
        yield file
