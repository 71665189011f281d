"""The errors of SER: what was expected, what came, what to do.

An error carries a `Code`; it knows neither gRPC nor HTTP nor exit statuses. Each front door maps codes once.
"""

from __future__ import annotations

import enum
import errno
from dataclasses import dataclass


class Code(enum.Enum):
    """What kind of thing went wrong, in the vocabulary of google.rpc.Code."""

    INVALID_ARGUMENT = "invalid argument"
    """The caller's input is wrong whatever the state of the system: a field, a name, a recording."""
    NOT_FOUND = "not found"
    """A model, a sample or a file that was asked for does not exist."""
    FAILED_PRECONDITION = "failed precondition"
    """The input is well-formed but what it points to does not serve: an address, a zip, a corpus."""
    RESOURCE_EXHAUSTED = "resource exhausted"
    """A limit on size or number is passed."""
    DATA_LOSS = "data loss"
    """A file of SER's own making is missing or altered."""
    PERMISSION_DENIED = "permission denied"
    """A path or an address that this process must not touch."""
    UNAUTHENTICATED = "unauthenticated"
    """No proof, or a wrong one, of who asks."""
    DEADLINE_EXCEEDED = "deadline exceeded"
    """The caller's deadline passed before the work was done."""
    CANCELLED = "cancelled"
    """The caller, or somebody else, cancelled the work."""
    UNAVAILABLE = "unavailable"
    """The process that should answer is not there, or stopping; try again."""
    INTERNAL = "internal"
    """A defect of SER."""


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request or config that is wrong."""

    field: str
    """Dotted path from the root of what was given, as `model_config.epochs`; empty for the whole."""
    description: str
    """What was expected and what came."""

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class SerError(Exception):
    """Base of every error that SER raises for a cause outside its own code.

    The message is one line, fit to be shown to the person who caused it.
    """

    code: Code


class ConfigError(SerError):
    """A request or config does not validate; `violations` has each wrong field."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, violations: list[FieldViolation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(str(violation) for violation in violations))


class AudioError(SerError):
    """A recording cannot be decoded or holds nothing to analyse."""

    code = Code.INVALID_ARGUMENT


class NotFoundError(SerError):
    """A model, sample or file that was named does not exist; the message says what does."""

    code = Code.NOT_FOUND


class DownloadError(SerError):
    """A remote or local source of a corpus cannot be fetched."""

    code = Code.FAILED_PRECONDITION


class ArchiveError(SerError):
    """A corpus archive is not a zip, is damaged, or has members that must not be unpacked."""

    code = Code.FAILED_PRECONDITION


class CorpusError(SerError):
    """A folder of audio is not a corpus that can be trained on."""

    code = Code.FAILED_PRECONDITION


class LimitError(SerError):
    """A recording, a download or an archive is larger than allowed."""

    code = Code.RESOURCE_EXHAUSTED


class DamagedError(SerError):
    """A folder that SER wrote has a file missing or altered."""

    code = Code.DATA_LOSS


class StorageError(SerError):
    """The operating system does not let SER read or write a file or folder of its own: it is read-only, full, not ours.

    RESOURCE_EXHAUSTED where something has run out (space, quota, file descriptors), else FAILED_PRECONDITION.
    """

    code = Code.FAILED_PRECONDITION

    def __init__(self, what: str, error: OSError) -> None:
        """Names the file.

        Args:
            what: The file or folder, relative to what its reader knows: the folder of models, the model.
            error: What the operating system said.
        """
        super().__init__(f"{what}: {error.strerror or error}")
        if error.errno in _RUN_OUT:
            self.code = Code.RESOURCE_EXHAUSTED


_RUN_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class TrainingError(SerError):
    """A training ended without a model that can be trusted."""

    code = Code.FAILED_PRECONDITION


class ForbiddenError(SerError):
    """A path outside the allowed folders, or an address that must not be fetched."""

    code = Code.PERMISSION_DENIED


class MissingExtraError(SerError, ImportError):
    """What was asked for needs packages that are not installed; the message names the extra that brings them."""

    code = Code.FAILED_PRECONDITION


class UnsupportedError(SerError):
    """A model is asked for what its type cannot do, as adapting to a speaker."""

    code = Code.FAILED_PRECONDITION
