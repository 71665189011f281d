from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from ser.errors import ArchiveError, LimitError
from ser.progress import silent
from ser.storage import archive
from ser.storage.archive import Limits


def zip_with(path: Path, *members: zipfile.ZipInfo, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for member in members:
            file.writestr(member, content)
    return path


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("wav/link.wav")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def device() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("wav/device")
    member.external_attr = (stat.S_IFCHR | 0o666) << 16
    return member


def folder_with_content() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("wav/folder")
    member.external_attr = (stat.S_IFDIR | 0o755) << 16
    return member


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (zipfile.ZipInfo("../evil.wav"), "leaves the folder"),
        (zipfile.ZipInfo("wav/../../evil.wav"), "leaves the folder"),
        (zipfile.ZipInfo("..\\evil.wav"), "leaves the folder"),
        (zipfile.ZipInfo("/etc/evil.wav"), "is an absolute path"),
        (zipfile.ZipInfo("C:\\evil.wav"), "is an absolute path"),
        (zipfile.ZipInfo("\\\\host\\evil.wav"), "is an absolute path"),
        (link(), "is a link or another special file"),
        (device(), "is a link or another special file"),
        (folder_with_content(), "is a folder with a content of 1 bytes"),
    ],
    ids=lambda value: getattr(value, "filename", ""),
)
def test_a_hostile_member_is_refused_before_anything_is_written(
    tmp_path: Path, member: zipfile.ZipInfo, problem: str
) -> None:
    path = zip_with(tmp_path / "a.zip", zipfile.ZipInfo("wav/good.wav"), member)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ArchiveError, match=rf"a\.zip: .*{problem}; nothing was unpacked"):
        archive.unpack(path, target, Limits(), silent)
    assert not any(target.iterdir())
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.zip", "target"}


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "a.zip", zipfile.ZipInfo("wav/a.wav"))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the member's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="is encrypted"):
        archive.check(path, Limits())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "a.zip", zipfile.ZipInfo("wav/a.wav"), zipfile.ZipInfo("wav/a.wav"))
    with pytest.raises(ArchiveError, match=r"'wav/a\.wav' comes twice"):
        archive.check(path, Limits())


@pytest.mark.parametrize("keep", [0, 10, 1_000])
def test_what_is_no_zip_or_a_part_of_one_is_refused(tmp_path: Path, keep: int) -> None:
    path = zip_with(tmp_path / "a.zip", zipfile.ZipInfo("wav/a.wav"), content=b"x" * 2_000)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArchiveError, match=r"a\.zip: expected a zip"):
        archive.check(path, Limits())


def test_a_bomb_is_refused_by_what_it_would_unpack_to(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("wav/a.wav", bytes(10_000_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(LimitError, match="at most 1000000 bytes unpacked, got 10000000"):
        archive.check(path, Limits(max_unpacked_bytes=1_000_000))


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "a.zip", *[zipfile.ZipInfo(f"wav/{n}.wav") for n in range(4)])
    with pytest.raises(LimitError, match="at most 3 files, got 4"):
        archive.check(path, Limits(max_files=3))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "a.zip", zipfile.ZipInfo("wav/a.wav"), content=b"content that is altered")
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ArchiveError, match=r"'wav/a\.wav' cannot be unpacked: Bad CRC-32"):
        archive.unpack(path, target, Limits(), silent)
