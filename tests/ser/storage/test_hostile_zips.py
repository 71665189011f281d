"""Zips from strangers: each ends in an error that says which member is wrong, and leaves nothing."""

from __future__ import annotations

import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from ser.errors import ArchiveError, LimitError, SerError
from ser.progress import silent
from ser.storage import archive
from ser.storage.archive import Limits
from ser.storage.files import make_folder
from tests.hostile_zips import CONTENT, HOSTILE, Entry, Hostile, raw_zip

LIMITS = Limits(max_unpacked_bytes=1_000_000, max_files=70)


def unpack(content: bytes, folder: Path) -> list[str]:
    """Unpacks as `Dataset` does; the names of the files there are then."""
    path = folder / "a.zip"
    path.write_bytes(content)
    target = folder / "target"
    make_folder(target, {}, lambda new: archive.unpack(path, new / "files", LIMITS, silent) and None, force=True)
    return sorted(one.relative_to(target / "files").as_posix() for one in target.glob("files/**/*") if one.is_file())


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_zip_is_refused_by_name_and_leaves_nothing(hostile: Hostile, tmp_path: Path) -> None:
    with pytest.raises((ArchiveError, LimitError), match=rf"a\.zip: .*({hostile.words})") as caught:
        unpack(hostile.make(), tmp_path)
    assert len(str(caught.value)) < 600
    assert {one.name for one in tmp_path.iterdir()} == {"a.zip", ".target.lock"}


@pytest.mark.parametrize(
    "hostile", [pytest.param(one, id=name) for name, one in HOSTILE.items() if one.neighbour is not None]
)
def test_a_zip_that_differs_by_little_and_is_well_is_unpacked(hostile: Hostile, tmp_path: Path) -> None:
    assert hostile.neighbour is not None
    found = unpack(hostile.neighbour(), tmp_path)
    assert found == sorted(hostile.files) if hostile.files else True
    for name in found:
        assert (tmp_path / "target" / "files" / name).read_bytes() == CONTENT


def test_no_flip_of_a_byte_raises_anything_but_an_error_of_ours(tmp_path: Path) -> None:
    rng = random.Random(1)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    whole = raw_zip(*(Entry(f"wav/{method}.wav".encode(), CONTENT, method) for method in methods))
    refused: list[str] = []
    for _ in range(500):
        altered = bytearray(whole)
        for place in rng.choices(range(len(whole)), k=rng.choice([1, 1, 1, 2, 8])):
            altered[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, altered[place] ^ 1 << rng.randrange(8)])
        if rng.random() < 0.1:
            altered = altered[: rng.randrange(len(altered))]
        try:
            unpack(bytes(altered), tmp_path)
        except SerError as error:
            refused.append(str(error))
    assert 250 < len(refused) < 500
    assert all("a.zip: " in message for message in refused)


def test_a_bomb_of_bzip2_is_not_in_memory_at_once(tmp_path: Path) -> None:
    # 4 kB that become 100 MB, of which the zip tells a megabyte.
    content = raw_zip(Entry(content=bytes(100_000_000), method=zipfile.ZIP_BZIP2, file_size=1_000_000))
    assert len(content) < 5_000
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="Bad CRC-32"):
            unpack(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_directory_of_too_many_members_is_not_read(tmp_path: Path) -> None:
    content = raw_zip(*(Entry(f"{number}".encode(), b"") for number in range(20_000)))
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="at most 70 files, got 20000|their list alone takes"):
            unpack(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
