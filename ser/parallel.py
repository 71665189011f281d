"""Work on all cores, in order, with bounded memory.

Threads, because what they do (decoding, FFTs, matrix products, hashing) runs outside the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory(most_bytes: int = 512 << 20) -> None:
    """Lets this process keep freed memory for its next arrays, where the C library is glibc.

    By default glibc returns every large array to the kernel when it is freed, and the kernel clears each page
    anew when the next array needs it: more than half the time of a feature extraction.

    Args:
        most_bytes: More than this is returned all the same.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the greatest value that glibc takes
        mallopt(_M_TRIM_THRESHOLD, most_bytes)


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in the order of the items.

    At most four results a worker are computed ahead of the consumer, so memory does not grow with the number
    of items. The first error ends the work and is raised. BLAS uses one thread meanwhile: two layers of
    threads on the same cores only wait for each other.
    """
    workers = workers or available_cores()
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
