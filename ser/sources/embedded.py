"""The corpus that comes with SER, synthesised where it is wanted."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.code_identity import package_digest
from ser.errors import ConfigError, FieldViolation, LimitError
from ser.progress import Reporter
from ser.sources.base import SOURCES, Source, refused
from ser.storage.access import Access

EMBEDDED_CLIPS = 300
"""Clips of the embedded corpus when `embedded:` says nothing else."""


@SOURCES.register("embedded")
@dataclass(frozen=True)
class EmbeddedSource(Source):
    """The corpus that SER synthesises: no network, no licence."""

    clips: int
    seed: int

    @classmethod
    def open(cls, remote_url: str, access: Access) -> EmbeddedSource:  # noqa: ARG003 - it is fetched from nowhere
        """See `Source.open`."""
        query = urllib.parse.urlsplit(remote_url).query
        values = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if not values.keys() <= {"clips", "seed"} or not all(re.fullmatch(r"\d{1,9}", v) for v in values.values()):
            raise refused(remote_url, "embedded: with nothing but ?clips=N&seed=S, whole numbers, behind it")
        return cls(int(values.get("clips", EMBEDDED_CLIPS)), int(values.get("seed", 0)))

    @property
    def description(self) -> str:
        """See `Source.description`."""
        return f"embedded corpus: {self.clips} synthetic clips, seed {self.seed}"

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        return {"embedded": {"clips": self.clips, "seed": self.seed}, "code": package_digest("ser.synthesis")}

    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """See `Source.fetch`."""
        from ser.synthesis import CLIP_BYTES, synthesise_corpus  # a server that only predicts never needs it

        # Told before the work: with a clip in ten milliseconds it may be of hours.
        if self.clips * CLIP_BYTES > max_bytes:
            raise LimitError(
                f"{self.description}: expected at most {max_bytes} bytes, it takes about {self.clips * CLIP_BYTES}"
            )
        try:
            synthesise_corpus(path, clips=self.clips, seed=self.seed, report=report)
        except ValueError as error:
            raise ConfigError([FieldViolation("remote_url", str(error))]) from error
