"""An error of the operating system names the file or folder, and says what to do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.errors import TrainingError
from ser.networks.export import export_tflite
from ser.os_errors import about, temporary_folder, told
from ser.storage.files import make_folder, write_json

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
MakeDisk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Mounts an empty disk of a size."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        path = tmp_path / f"disk {len(mounted)}"
        path.mkdir()
        command = ["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if not Path("/bin/mount").exists() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk may be mounted here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["/bin/umount", str(path)], check=True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/y"),
            "/x/y: No space left on device; make room there, or ",
        ),
        (OSError(errno.EACCES, "Permission denied", b"/x"), "/x: Permission denied; let it be read and written, or "),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only file system; choose a folder that can be"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x"), "/x: File name too long; choose a folder with a sh"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; allow the process more open files"),
        (OSError(errno.ENOSPC, "No space left on device", "/from", None, "/to"), "/to: No space left on device; make"),
        (OSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (OSError("5120 requested and 0 written"), "5120 requested and 0 written"),
        (OSError(), "OSError"),
        (shutil.Error([("/a", "/b", "[Errno 28] No space left on device")]), "/b: [Errno 28] No space left on device"),
        (OSError(errno.ENOENT, "No such file or directory", 3), "No such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_is_told_as_a_sentence(error: OSError, message: str) -> None:
    assert told(error).startswith(message)
    assert "None" not in told(error)


def test_what_is_temporary_is_named_by_its_folder_and_the_way_out() -> None:
    folder = tempfile.gettempdir()
    error = OSError(errno.ENOSPC, "No space left on device", f"{folder}/tmpabc/variables")
    expected = "make room there, or let TMPDIR name another folder for temporary files"
    assert told(error) == f"{folder}: No space left on device; {expected}"


def test_an_error_that_names_no_file_gets_one_and_another_keeps_its_own(tmp_path: Path) -> None:
    def fail(error: OSError) -> Callable[[Path], None]:
        def write(_: Path) -> None:
            raise error

        return write

    with pytest.raises(OSError, match="out") as caught:
        make_folder(tmp_path / "out", {}, fail(OSError(*FULL.args)))
    assert caught.value.filename == str(tmp_path / "out")
    with pytest.raises(OSError, match="own") as caught, about(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "own")


def test_a_full_disk_is_named_by_whatever_is_written(disk: MakeDisk) -> None:
    small = disk("16k")
    with pytest.raises(OSError, match="No space left") as caught:
        write_json(small / "a.json", list(range(100_000)))
    assert told(caught.value).startswith(f"{small}/a.json: No space left on device; make room there")
    with pytest.raises(OSError, match="No space left") as caught:
        make_folder(small / "out", {}, lambda folder: np.save(folder / "a.npy", np.zeros(100_000)))
    assert f"{small}/" in told(caught.value)
    assert [path.name for path in small.iterdir()] == [".out.lock"]


def test_a_full_disk_of_temporary_files_is_an_os_error_whatever_the_library_says(
    disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = disk("32k")
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    with pytest.raises(OSError, match="No space left") as caught, temporary_folder():
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a file that was written by half")
    assert told(caught.value).startswith(f"{small}: No space left on device; make room there, or let TMPDIR")
    with pytest.raises(TrainingError), temporary_folder():
        raise TrainingError("of something else")
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(ValueError, match="of something else"), temporary_folder():
        raise ValueError("of something else")


def test_a_network_is_not_exported_onto_a_full_disk_of_temporary_files(
    bundle: Bundle, disk: MakeDisk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras

    model = keras.models.load_model(bundle.folder / "model.keras")
    for size in ("32k", "200k"):
        small = disk(size)
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        with pytest.raises(OSError, match="No space left") as caught:
            export_tflite(model, tmp_path / "model.tflite")
        assert told(caught.value).startswith(f"{small}: No space left on device; ")
        assert not list(small.iterdir())
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.parametrize(
    ("field", "size"), [("--data-path", "20k"), ("--model-save-path", "100k"), ("--model-save-path", "600k")]
)
def test_a_command_that_a_full_disk_ends_says_so_in_a_line(
    field: str, size: str, disk: MakeDisk, corpus_zip: Path, tmp_path: Path
) -> None:
    small = disk(size)
    places = {"--data-path": tmp_path / "data", "--model-save-path": tmp_path / "models", field: small}
    command = [sys.executable, "-m", "ser", "train", "--remote-url", corpus_zip, "--model-type", "KerasClassifier"]
    command += ["--model-config", '{"epochs": 1}', *(word for place in places.items() for word in place)]
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert ended.returncode == 7, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ser: ")]
    assert line.startswith(f"ser: {small}/")
    assert line.endswith("No space left on device; make room there, or choose another folder")
    assert "Traceback" not in ended.stderr
    assert [path for path in small.rglob("*") if path.suffix != ".lock" and path.is_file()] == []
