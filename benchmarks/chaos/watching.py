"""Memory and open files of a server's processes while it is asked, and what is left when it has ended."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from pathlib import Path

from benchmarks.server_process import ServerProcess

_LOOK_SECONDS = 2.0
_MOST_GROWTH = 1.25
"""How much the memory of the largest worker may grow from the second minute to the last."""
_MOST_MORE_FILES = 8


class Watch:
    """Looks every two seconds."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._moments: list[tuple[float, list[int], int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def end(self) -> None:
        """Ends."""
        self._stop.set()
        self._thread.join()

    def minutes(self) -> list[float]:
        """The largest worker's memory in each minute, the median of its moments; in MB."""
        if not self._moments:
            return []
        begin, by_minute = self._moments[0][0], dict[int, list[int]]()
        for moment, sizes, _ in self._moments:
            if sizes:
                by_minute.setdefault(int((moment - begin) / 60), []).append(max(sizes))
        return [statistics.median(sizes) / 1e6 for _, sizes in sorted(by_minute.items())]

    def faults(self) -> list[str]:
        """What grew."""
        found, sizes = [], self.minutes()
        if len(sizes) > 2 and sizes[-1] > _MOST_GROWTH * sizes[1]:
            found.append(f"memory grew from {sizes[1]:.0f} to {sizes[-1]:.0f} MB")
        files = [number for _, _, number in self._moments if number]
        if len(files) > 10 and files[-1] > min(files[:10]) + _MOST_MORE_FILES:
            found.append(f"the supervisor's open files grew from {min(files[:10])} to {files[-1]}")
        return found

    def _go(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            files = 0
            with contextlib.suppress(OSError):
                files = len(list(Path(f"/proc/{self._server.process.pid}/fd").iterdir()))
            self._moments.append((time.monotonic(), self._server.worker_rss_bytes(), files))


def left_behind(folder: Path, temporary: Path) -> list[str]:
    """Partial folders, and anything in the temporary folder."""
    partial = [path for path in folder.rglob(".*") if ".partial-" in path.name or ".replaced" in path.name]
    return [f"left behind: {path.relative_to(folder)}" for path in (*partial, *temporary.glob("*"))]
