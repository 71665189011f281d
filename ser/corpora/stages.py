"""`CorpusStages`: one corpus or several, from their addresses to a corpus folder, one stage at a time.

Stages build on each other and run what they need; each keeps its result under `data_path` and does nothing
when the result is there and its inputs have not changed:

    <data_path>/download/<source>/    a zip, or a corpora file, and what it is
    <data_path>/corpus/<content>/     the audio files and corpus.json
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ser.corpora import folder as corpus_folder
from ser.corpora.corpora_file import MAX_BYTES, Member, is_corpora_file, read_members
from ser.corpora.folder import Manifest, Part
from ser.formats import CORPUS_FORMAT
from ser.progress import Reporter, silent
from ser.sources.base import Source, open_source, version_now
from ser.storage import archive
from ser.storage.access import Access
from ser.storage.archive import Limits
from ser.storage.files import exclusive, make_folder, read_json, recover, replace_folder, sha256, stamp_of, write_json
from ser.storage.files import partial as partial_path
from ser.storage.stamps import STAMP, Stamp, check_folder, read_stamp
from ser.storage.stored_file import StoredFolder
from ser.storage.stores import Store, cache_folder, files_of, is_address, local_path
from ser.storage.strict_json import fingerprint

ARCHIVE = "corpus.zip"
CORPORA_FILE = "corpora.yaml"
_FACTS = "download.json"


class CorpusStages:
    """A corpus, or several as one, in a folder.

    Every stage takes `force`: true does this stage again even though its result is there. A stage that fails
    leaves the results that were there before.
    """

    def __init__(
        self,
        data_path: str,
        remote_url: str,
        *,
        limits: Limits | None = None,
        access: Access | None = None,
        report: Reporter = silent,
    ) -> None:
        """Names the folder and the source; touches neither.

        Args:
            data_path: Folder that everything is kept in; made when it is needed. Of an address in an object store, as
                `s3://bucket/data`, what is worth keeping is kept there, and everything in a local cache.
            remote_url: Where the corpus resides, as a zip or a folder: http(s)://, file://, a path, or `embedded:`; or
                where the corpora file resides that names several (`ser.corpora.corpora_file`).
            limits: Sizes allowed, of all corpora together.
            access: Addresses allowed, those in a corpora file too; by default all.
            report: Told of the progress of each stage.

        Raises:
            ConfigError: If `remote_url` is of no known form.
            ForbiddenError: If `access` does not allow it.
        """
        self._store = Store(data_path) if is_address(data_path) else None
        self.data_path = cache_folder(data_path) if self._store else local_path(data_path)
        self.remote_url = remote_url
        self._up_to_date: set[str] = set()
        self._versions: dict[str, dict[str, str]] = {}
        self._access = access
        self._source = open_source(remote_url, access)
        self._limits = limits or Limits()
        self._report = report

    def download(self, *, force: bool = False) -> tuple[Path, ...]:
        """Fetches the zip of each corpus and checks that it can be unpacked safely.

        Returns:
            The path of each zip: one, or as many as a corpora file names.

        Raises:
            ConfigError: If a corpora file is none.
            ForbiddenError: If it names an address that is not allowed.
            DownloadError: If something cannot be had whole.
            ArchiveError: If it is no zip, or one that must not be unpacked.
            LimitError: If it is too large.
        """
        return tuple(path for _, path in self._zips(force=force))

    def extract(self, *, force: bool = False) -> Path:
        """Unpacks the zips.

        Returns:
            The corpus folder.

        Raises:
            ArchiveError: If a member is damaged.
        """
        zips = self._zips()
        content = [
            {"name": part.name, "labels": dict(part.labels), "zip_sha256": read_json(path.parent / _FACTS)["sha256"]}
            for part, path in zips
        ]
        made_from = {"format": CORPUS_FORMAT, "corpora": content}
        folder = self.data_path / "corpus" / fingerprint(made_from)[:16]
        # No digests: the manifest that `prepare` writes has those of the clips.
        make_folder(folder, made_from, partial(self._unpack, zips), force=force, digests=False)
        return folder

    def prepare(self, *, force: bool = False) -> Manifest:
        """Decodes every audio file once, to find what is wrong with it, and writes the manifest.

        Raises:
            CorpusError: If the files are no known corpus, or a label is mapped that there is not.
            AudioError: If a file cannot be used.
        """
        folder = self.extract()
        with exclusive(folder):
            if not force and (folder / corpus_folder.MANIFEST).exists():
                manifest = corpus_folder.load_manifest(folder)
                if manifest.code == corpus_folder.corpora_code():
                    return manifest
            recover(folder / corpus_folder.MANIFEST)
            return corpus_folder.prepare(folder, self._source.description, self._report, self.parts())

    def parts(self) -> tuple[Part, ...]:
        """The corpora in the corpus folder; fetches a corpora file first, where it is missing."""
        return tuple(member.part for member in self._members())

    @contextlib.contextmanager
    def kept(self, name: str, identity: Mapping[str, Any], *, force: bool) -> Iterator[Path]:
        """The folder of a stage; in an object store what was there before is had first, what is new kept after.

        Args:
            name: Of the folder, below `data_path`.
            identity: What it is made from.
            force: It is made again whatever is there.
        """
        folder = self.data_path / name
        if self._store is None or (name in self._up_to_date and not force):
            yield folder
            return
        there, wanted = self._store.child(name), fingerprint(identity)
        stamp = None if force else _stamp_in(there)
        if stamp and stamp.fingerprint == wanted and stamp_of(folder) != wanted:
            with exclusive(folder):
                recover(folder)
                with partial_path(folder) as temporary:
                    temporary.mkdir()
                    there.download(temporary)
                    check_folder(StoredFolder(temporary, there.address))
                    replace_folder(folder, temporary)
        yield folder
        if there.read(STAMP) != (folder / STAMP).read_bytes():
            there.upload(files_of(folder), last=STAMP)
        self._up_to_date.add(name)

    def _members(self, *, force: bool = False) -> tuple[Member, ...]:
        """The corpora; of a corpora file, which is fetched first, those that it names."""
        if not is_corpora_file(self.remote_url):
            return (Member(Part(), self._source),)
        identity = {**self._source.identity(), "corpora_file": True}
        folder = self._fetched(self._source, identity, self._fetch_corpora_file, force=force)
        return read_members((folder / CORPORA_FILE).read_bytes(), self.remote_url, self._access)

    def _zips(self, *, force: bool = False) -> list[tuple[Part, Path]]:
        """Each corpus and its zip, fetched where it is missing."""
        found, left = [], self._limits.max_download_bytes
        for member in self._members(force=force):
            write = partial(self._fetch, member.source, left)
            folder = self._fetched(member.source, member.source.identity(), write, force=force)
            found.append((member.part, folder / ARCHIVE))
            left -= found[-1][1].stat().st_size
        return found

    def _fetched(
        self, source: Source, identity: Mapping[str, Any], write: Callable[[Path], None], *, force: bool
    ) -> Path:
        """The folder of what was fetched; once for each `Dataset`, the owner is asked whether that is still so."""
        name = f"download/{fingerprint(identity)[:16]}"
        if name not in self._versions or force:
            known = None if force else self._version_there(name)
            self._versions[name] = version_now(source, known)
        made_from = {**identity, "version": self._versions[name]}
        with self.kept(name, made_from, force=force) as folder:
            make_folder(folder, made_from, write, force=force)
        return folder

    def _version_there(self, name: str) -> dict[str, str] | None:
        """What the source said of the version that was fetched; None if nothing was."""
        stamp = (_stamp_in(self._store.child(name)) if self._store else None) or read_stamp(self.data_path / name)
        return None if stamp is None else stamp.made_from.get("version", {})

    def _fetch_corpora_file(self, folder: Path) -> None:
        self._source.fetch(folder / CORPORA_FILE, max_bytes=MAX_BYTES, report=self._report)
        read_members((folder / CORPORA_FILE).read_bytes(), self.remote_url, self._access)  # a wrong one is not kept

    def _fetch(self, source: Source, max_bytes: int, folder: Path) -> None:
        path = folder / ARCHIVE
        source.fetch(path, max_bytes=max_bytes, report=self._report)
        archive.check(path, self._limits, name=source.description)
        write_json(
            folder / _FACTS,
            {"source": source.description, "sha256": sha256(path), "bytes": path.stat().st_size},
        )

    def _unpack(self, zips: Sequence[tuple[Part, Path]], folder: Path) -> None:
        left = self._limits
        for part, path in zips:
            check_folder(path.parent)
            part.folder(folder).mkdir(parents=True)
            left = archive.unpack(path, part.folder(folder), left, self._report)


def _stamp_in(store: Store) -> Stamp | None:
    """The stamp of a folder in an object store; None if it is not whole."""
    content = store.read(STAMP)
    return None if content is None else Stamp.parse(content, f"{store.address}/{STAMP}")
