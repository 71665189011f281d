"""Places that are folders, or addresses in an object store: `s3://bucket/models`, `gs://…`, whatever fsspec knows.

An object store has no rename. A folder in it is whole once its last file is there, so that one is written last and read
first: the manifest of a model, the stamp of a dataset's stage. Whoever reads while another writes finds files that
do not fit the manifest, and reads again.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ser.errors import Code, ConfigError, FieldViolation, MissingExtraError, SerError, StorageError
from ser.extras import install_command
from ser.storage.files import partial
from ser.storage.stored_file import MissingError, StoredFolder, storage_errors
from ser.storage.strict_json import fingerprint

CACHE_VARIABLE = "SER_CACHE_ROOT"
"""Environment variable: folder for local copies of what lies in object stores."""
LARGEST_FILE_BYTES = 64 << 20
"""Largest single file that is read of a folder: a manifest, what is kept of a speaker, a receipt."""
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://")
_PACKAGES = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Scheme to the extra of this package that brings its client."""


class StoreError(SerError):
    """An object store cannot be reached, or does not allow it."""

    code = Code.FAILED_PRECONDITION


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether a place is in an object store; `file://` is here."""
    found = _ADDRESS.match(os.fspath(place))
    return found is not None and found[1] != "file"


def local_path(place: str | os.PathLike[str]) -> Path:
    """The folder of a place that is here, with or without `file://`."""
    return Path(os.fspath(place).removeprefix("file://"))


def cache_folder(address: str) -> Path:
    """Where local copies of what is at an address lie."""
    return cache_root() / fingerprint(address.rstrip("/"))[:16]


def cache_root() -> Path:
    """The folder of copies of what lies elsewhere, as in object stores."""
    root = os.environ.get(CACHE_VARIABLE)
    return Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ser"


class Store:
    """A folder in an object store. Credentials and endpoints are those of its client, as `AWS_ENDPOINT_URL`.

    Every method raises `StoreError` where the store cannot be reached or does not allow it.
    """

    def __init__(self, address: str) -> None:
        """Names the folder; asks nobody.

        Raises:
            ConfigError: If the scheme is unknown.
            MissingExtraError: If the scheme's package is not installed.
        """
        import fsspec

        self.address = address.rstrip("/")
        scheme = self.address.partition("://")[0]
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.address, use_listings_cache=False)
        except ImportError:
            extra = _PACKAGES.get(scheme)
            hint = f"; install it with: {install_command(extra)}" if extra else ""
            raise MissingExtraError(f"{address}: no package for {scheme}:// is installed{hint}") from None
        except ValueError as error:
            raise ConfigError([FieldViolation("", f"{address}: {error}")]) from None

    def child(self, name: str) -> Store:
        """A folder in this one."""
        return Store(f"{self.address}/{name}")

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is none."""
        with self._errors():
            try:
                content: bytes = self._files.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        with self._errors():
            self._files.pipe_file(f"{self._root}/{name}", content)

    def remove(self, name: str) -> bool:
        """Removes a file; false if there is none."""
        with self._errors():
            if not self._files.exists(f"{self._root}/{name}"):
                return False
            with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                self._files.rm_file(f"{self._root}/{name}")
            return True

    def files(self) -> list[str]:
        """Names of all files below this folder, sorted."""
        with self._errors():
            return sorted(self._names())

    def folders(self) -> list[str]:
        """Names of the folders in this one, sorted."""
        with self._errors():
            try:
                found = self._files.ls(self._root, detail=True)
            except FileNotFoundError:
                return []
        names = [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in found if entry["type"] == "directory"]
        return sorted(names)

    def upload(self, files: Mapping[str, Path], *, last: str) -> None:
        """Writes files under their names; `last` makes them count. What else was there goes away."""
        with self._errors():
            # A write here is whole or not at all: object stores show an object once its upload is complete.
            for name in [*sorted(files.keys() - {last}), last]:
                self._files.put_file(str(files[name]), f"{self._root}/{name}")
            for stale in self._names() - files.keys():
                self._files.rm_file(f"{self._root}/{stale}")

    def download(self, folder: Path) -> None:
        """Copies all files into an existing folder."""
        with self._errors():
            for name in sorted(self._names()):
                target = folder / name
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise StoreError(f"{self.address}: {name!r} leads out of its folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(f"{self._root}/{name}", str(target))

    def delete(self, *, first: str = "") -> None:
        """Removes all files; once `first` is gone, if one is named, nobody counts on the others."""
        with self._errors():
            names = self._names()
            for name in [*({first} & names), *sorted(names - {first})]:
                with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                    self._files.rm_file(f"{self._root}/{name}")

    def _names(self) -> set[str]:
        try:
            return {path[len(self._root) + 1 :] for path in self._files.find(self._root)}
        except FileNotFoundError:
            return set()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.address}: {_reason(error)}") from error
        except Exception as error:
            # Clients let errors of their own through: those of botocore and aiohttp are not OSErrors.
            if type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "google", "gcsfs"):
                raise StoreError(f"{self.address}: {_reason(error)}") from error
            raise


class Folder:
    """A folder here, with as much of the face of a `Store` as single files need.

    Every method raises `StorageError` where the operating system does not allow it; the message names the file.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Names the folder; it need not be there.

        Args:
            folder: Its path.
            name: What to call it in errors.
        """
        self.folder = folder
        self.address = name
        self._path = str(folder)
        self._stored = StoredFolder(folder, name)

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is none.

        Raises:
            DamagedError: If it is no regular file, or larger than `LARGEST_FILE_BYTES`.
        """
        try:
            return self._stored.read(name, at_most=LARGEST_FILE_BYTES)
        except MissingError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        with storage_errors(self._stored.where(name)):
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial(self.folder / name) as temporary:
                temporary.write_bytes(content)
                temporary.replace(self.folder / name)

    def remove(self, name: str) -> bool:
        """Removes a file; false if there is none."""
        with storage_errors(self._stored.where(name)):
            try:
                (self.folder / name).unlink()
            except FileNotFoundError:
                return False
            return True

    def files(self) -> list[str]:
        """Names of the files in this folder, sorted; hidden ones are left out."""
        with storage_errors(self.address):
            try:
                return sorted(name for name in os.listdir(self.folder) if not name.startswith("."))  # noqa: PTH208
            except (FileNotFoundError, NotADirectoryError):
                return []

    def version(self, name: str) -> tuple[int, int, int] | None:
        """Another one whenever the file is another one; None if there is none."""
        try:
            state = os.stat(f"{self._path}/{name}")  # noqa: PTH116 - a third of the time of Path.stat
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(self._stored.where(name), error) from error
        return state.st_mtime_ns, state.st_size, state.st_ino


def open_place(place: str | os.PathLike[str], *names: str) -> Store | Folder:
    """A folder within a place.

    Args:
        place: A folder, or an address.
        names: Of the folders on the way.

    Raises:
        ConfigError: As of `Store`.
    """
    if is_address(place):
        return Store("/".join([os.fspath(place).rstrip("/"), *names]))
    return Folder(local_path(place).joinpath(*names), "/".join(names))


def files_of(folder: Path) -> dict[str, Path]:
    """All files below a folder, by their names relative to it; hidden ones and links are left out."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    named = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path for name, path in named.items() if not any(part.startswith(".") for part in name.split("/"))}


def _reason(error: Any) -> str:
    return " ".join(str(error).split()) or type(error).__name__
