"""The manifest of a model bundle: what the model is, and the SHA-256 of every file of it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from ser.errors import DamagedError
from ser.storage.files import write_json
from ser.storage.stored_file import StoredFolder
from ser.storage.strict_json import fingerprint, parse_object
from ser.version import VERSION

MANIFEST = "manifest.json"
KERAS = "model.keras"
TFLITE = "model.tflite"
FRONTEND = "frontend.npz"
VALIDATION = "validation.npz"
SPEAKERS = "speakers.npz"
REPORT = "report"
FILES = (KERAS, TFLITE, FRONTEND, VALIDATION)
"""What a bundle must hold besides its manifest; the manifest may name `SPEAKERS` as well."""
LARGEST_BYTES: Mapping[str, int] = MappingProxyType(
    {
        MANIFEST: 16 << 20,
        KERAS: 8 << 30,
        TFLITE: 1 << 30,
        FRONTEND: 256 << 20,
        VALIDATION: 4 << 30,
        SPEAKERS: 1 << 30,
    }
)
"""Largest size of each file, in bytes; a larger one is taken for damaged."""
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a model may be called."""

FORMAT: Literal[3] = 3
"""Of a bundle's files; raised when one gets another form. `tests/bundles/` has a bundle of each.

In format 2 no network tells familiarity, and `SPEAKERS` has no `prior_clips`.
"""
Name = Annotated[str, Field(min_length=1, max_length=1_024)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
_METRICS = {"accuracy", "uar", "macro_f1", "chance"}


class Manifest(pydantic.BaseModel):
    """What a bundle says of itself."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[2, 3] = FORMAT
    model_id: Annotated[str, Field(pattern=f"^(?:{MODEL_ID.pattern})\\z")]
    model_type: Name
    hyperparameters: dict[str, Any]
    """The model type's config, complete with defaults."""
    random_state: Annotated[int, Field(ge=0, lt=2**64)]
    classes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=1_000)]
    """The labels, in the order of the model's outputs: two or more, each once."""
    features: dict[str, Any]
    """The feature part of the request."""
    frontend: dict[str, Any]
    """Settings of the front-end; its arrays are in frontend.npz."""
    corpus: str
    """Registered name of the corpus whose naming the files follow."""
    source: str
    """Where the corpus came from."""
    corpus_sha256: str
    """Identifies names, labels and audio of the corpus."""
    training_samples: Annotated[int, Field(ge=0, lt=2**53)]
    """Recordings learnt from."""
    validation_samples: tuple[Name, ...]
    """Names of the recordings held out."""
    metrics: dict[Name, Rate]
    """On the held-out recordings: accuracy, uar, macro_f1, and chance."""
    history: dict[Name, list[Finite]]
    """A value an epoch: loss, accuracy, val_loss, val_accuracy."""
    seconds: Annotated[Finite, Field(ge=0)]
    """Wall-clock time of the training."""
    created: str
    """When, ISO 8601 in UTC."""
    versions: dict[str, str]
    """Libraries that made it."""
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]]
    """SHA-256 of each file of the bundle but the report's."""

    @pydantic.model_validator(mode="after")
    def _is_sound(self) -> Self:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"expected two or more classes, each once, got {list(self.classes)[:20]}")
        if missing := sorted(_METRICS - self.metrics.keys()):
            raise ValueError(f"expected metrics to have {missing[0]}")
        if len(set(self.validation_samples)) != len(self.validation_samples):
            raise ValueError("expected each of validation_samples once")
        if self.files.keys() - {SPEAKERS} != set(FILES):
            raise ValueError(f"expected files to name {', '.join(FILES)}, and {SPEAKERS} at most besides")
        moment = datetime.datetime.fromisoformat(self.created)
        if moment.tzinfo is None or not 1970 < moment.year < 9999:
            raise ValueError(f"expected created to be a moment with its time zone, got {self.created!r}")
        return self

    @property
    def adapts(self) -> bool:
        """Whether the model adapts to speakers whose clips are known."""
        return SPEAKERS in self.files

    @property
    def training(self) -> str:
        """Identifies the training that made the model, 16 hexadecimal digits; no two trainings have one."""
        return fingerprint(self.model_dump(mode="json"))[:16]

    def save(self, folder: Path) -> None:
        """Writes manifest.json, with a digest of its own content."""
        content = self.model_dump(mode="json")
        write_json(folder / MANIFEST, {**content, "digest": fingerprint(content)})

    @classmethod
    def load(cls, folder: Path | StoredFolder) -> Manifest:
        """Reads manifest.json.

        Raises:
            DamagedError: If it is missing, altered or of another format, as a later version of SER writes.
        """
        stored = folder if isinstance(folder, StoredFolder) else StoredFolder(folder, str(folder))
        return cls.parse(stored.read(MANIFEST, at_most=LARGEST_BYTES[MANIFEST]), stored.where(MANIFEST))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """Checks what manifest.json has.

        Args:
            content: Its bytes.
            where: What to call it in an error.

        Raises:
            DamagedError: If it is altered or of another format.
        """
        value = parse_object(content, where)
        made = value.get("format")
        if isinstance(made, int) and made > FORMAT:
            this = f"this one, {VERSION}, reads format {FORMAT}: update it"
            raise DamagedError(f"{where} is of format {made}, of a later version of SER; {this}")
        digest = value.pop("digest", None)
        if digest is None or digest != fingerprint(value):
            raise DamagedError(f"{where} was altered since it was written")
        try:
            return cls.model_validate(value)
        except pydantic.ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(map(str, detail["loc"]))
            raise DamagedError(f"{where} is of another format: {field}: {detail['msg']}"[:1_000]) from None
