"""A corpora file: several corpora that are learnt as one, with their labels brought together.

    corpora:
      - {name: emodb, url: emodb.zip}
      - {name: ravdess, url: "https://example.org/ravdess.zip", labels: {calm: neutral, surprise: null}}

An address that ends in .yaml, .yml or .json names one. Addresses in it are relative to it; what may be fetched counts
for each of them.
"""

from __future__ import annotations

import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import pydantic
from pydantic import Field

from ser.config import Config, parse
from ser.corpora.folder import Part
from ser.errors import ConfigError, FieldViolation, ForbiddenError
from ser.progress import silent
from ser.sources import Source, open_source
from ser.sources.http import HttpSource
from ser.sources.local import LocalSource
from ser.storage.access import Access, shown_address
from ser.storage.yaml_file import parse_yaml

MAX_BYTES = 1 << 20
"""Greatest size of a corpora file."""
_SUFFIXES = (".yaml", ".yml", ".json")

_Label = Annotated[str, Field(min_length=1, max_length=200, strict=True)]


class _Corpus(Config):
    """One corpus of a corpora file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", strict=True)]
    """What it is called: speakers, texts and where need be files have it in front."""
    url: Annotated[str, Field(min_length=1, strict=True)]
    """A zip or a folder, as `remote_url`; relative to the corpora file."""
    labels: dict[_Label, _Label | None] = Field(default_factory=dict)
    """Its label to the one to learn; null leaves the recordings out. Labels that are not here stay."""


class _CorporaFile(Config):
    """The whole file."""

    corpora: Annotated[list[_Corpus], Field(min_length=1, max_length=100)]

    @pydantic.field_validator("corpora")
    @classmethod
    def _each_once(cls, value: list[_Corpus]) -> list[_Corpus]:
        names = [corpus.name.lower() for corpus in value]
        if len(names) != len(set(names)):
            raise ValueError("expected each name once, whatever its case")
        return value


@dataclass(frozen=True)
class Member:
    """One corpus of several: what is to be made of it, and where it comes from."""

    part: Part
    source: Source


def is_corpora_file(remote_url: str) -> bool:
    """Whether an address names a corpora file, by its ending."""
    parts = urllib.parse.urlsplit(remote_url)
    path = parts.path if parts.scheme in ("http", "https", "file") else remote_url
    return parts.scheme != "embedded" and PurePosixPath(path).suffix.lower() in _SUFFIXES


def read_members(content: bytes, remote_url: str, access: Access | None = None) -> tuple[Member, ...]:
    """The corpora that a corpora file names.

    Args:
        content: The file.
        remote_url: Where it is from.
        access: What may be fetched, by default everything.

    Raises:
        ConfigError: If it is no corpora file; the message has the entry and what is allowed there.
        ForbiddenError: If an address in it must not be fetched.
    """
    name = open_source(remote_url, access).description
    try:
        found = parse(_CorporaFile, parse_yaml(content))
    except ConfigError as error:
        raise ConfigError(
            [
                FieldViolation("remote_url", f"{name}: {one.field}: {one.description}".replace(": : ", ": "))
                for one in error.violations
            ]
        ) from None
    except ValueError as error:
        raise ConfigError([FieldViolation("remote_url", f"{name}: expected YAML: {error}")]) from None
    return tuple(
        Member(Part(corpus.name, corpus.labels), _open(corpus.url, remote_url, name, access))
        for corpus in found.corpora
    )


def sources_of(remote_url: str) -> list[Source]:
    """What an address leads to: its own source first, then, of a corpora file, those of the corpora that it names.

    Raises:
        DownloadError: If there is no such file.
    """
    sources = [open_source(remote_url)]
    if is_corpora_file(remote_url):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "corpora"
            sources[0].fetch(path, max_bytes=MAX_BYTES, report=silent)
            sources += [member.source for member in read_members(path.read_bytes(), remote_url)]
    return sources


def local_paths(remote_url: str) -> list[Path]:
    """The files and folders of this machine that an address leads to, absolute, its own first if it is one.

    Raises:
        DownloadError: If there is no such file.
    """
    here = [one for one in sources_of(remote_url) if isinstance(one, LocalSource)]
    for one in here:
        one.identity()  # a file that is missing would be mounted into a container as an empty folder
    return [one.path.resolve() for one in here]


def _open(url: str, remote_url: str, name: str, access: Access | None) -> Source:
    """The source of an address in a corpora file."""
    try:
        resolved = _resolve(url, remote_url, access)
        if is_corpora_file(resolved):
            raise ConfigError([FieldViolation("", "expected a zip or a folder, not another corpora file")])
        return open_source(resolved, access)
    except ConfigError as error:
        reason = "; ".join(one.description for one in error.violations)
    except ValueError:
        reason = "expected an address"
    raise ConfigError([FieldViolation("remote_url", f"{name}: url {shown_address(url)!r}: {reason}")])


def _resolve(url: str, remote_url: str, access: Access | None) -> str:
    scheme = urllib.parse.urlsplit(url).scheme
    if isinstance(open_source(remote_url, access), HttpSource):
        if scheme == "file":
            raise ForbiddenError(
                f"remote_url: {shown_address(url)!r}: a corpora file from the network must not name files of a machine"
            )
        return url if scheme else urllib.parse.urljoin(remote_url, url)
    if scheme:
        return url
    here = (
        urllib.parse.unquote(urllib.parse.urlsplit(remote_url).path) if remote_url.startswith("file:") else remote_url
    )
    return str(Path(here).expanduser().parent / Path(url).expanduser())
