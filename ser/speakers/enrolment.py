"""The speakers that a model knows: those it was trained on, and those who enrolled.

What is kept of somebody who enrols is sums over features of unlabelled clips, and how many clips they were; no sound,
and nothing that sound could be made from. It lies beside the models, because a bundle never changes:

    <model_save_path>/.speakers/<model_id>/<training>/<speaker>.npz

in a folder or at an address in an object store. A file there is whole or absent. `<training>` identifies the training
that made the model (`Manifest.training`): a model that was removed and trained again, or trained again by force, knows
nobody who enrolled in the old one. What enrolled there is deleted when the new one is saved, and at its next enrolment.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError, DamagedError, FieldViolation, NotFoundError
from ser.speakers.statistics import SpeakerAdaptation, SpeakerStatistics, together
from ser.storage.arrays import check_arrays, pack_arrays, unpack_arrays
from ser.storage.files import exclusive, remove, sweep
from ser.storage.stored_file import storage_errors
from ser.storage.stores import Store, StoreError, cache_folder, is_address, local_path, open_place

Place = str | os.PathLike[str]
REFRESH_SECONDS = 10.0
"""How long, at an address, what was read of a speaker counts before it is read again."""
_SPEAKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FOLDER = ".speakers"
_SUFFIX = ".npz"
_HELD = 256
"""Speakers that are kept in memory, the least lately used of which go first: up to 100 kB each."""


@dataclass(frozen=True)
class KnownSpeaker:
    """A speaker in a line."""

    speaker: str
    enrolled_clips: int
    """Clips that were enrolled."""
    training_clips: int
    """Clips that the model was trained on; 0 of anybody else."""

    @property
    def clips(self) -> int:
        """How many clips the model adapts to."""
        return self.enrolled_clips + self.training_clips


class Speakers:
    """The speakers of one model. Threads may share it; processes see what another one enrolled.

    A folder is looked at each time (one call of stat). At an address another machine's enrolment is seen within
    `refresh_seconds`. Enrolments of one speaker on one machine take turns, so that no clip is lost; on two machines at
    the same moment, over an object store, the later one counts.
    """

    def __init__(
        self,
        model_save_path: Place,
        model_id: str,
        training: str,
        adaptation: SpeakerAdaptation,
        training_now: Callable[[], str | None],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """Names the place; reads nothing.

        Args:
            model_save_path: Folder of the model's folder, or its address.
            model_id: Which model.
            training: Which training of it (`Manifest.training`).
            adaptation: The model's, which knows the speakers of its training.
            training_now: Which training of the model there is by now; None if the model was deleted.
            refresh_seconds: How long what was read at an address counts.
        """
        self._adaptation = adaptation
        self._refresh_seconds = refresh_seconds
        self._training = training
        self._files = open_place(model_save_path, _FOLDER, model_id, training)
        self._training_now = training_now
        self._lock = _lock(model_save_path, model_id)
        self._place, self._model_id = os.fspath(model_save_path), model_id
        self._held: OrderedDict[str, tuple[object, SpeakerStatistics | None]] = OrderedDict()
        self._turn = threading.Lock()

    def known(self, speaker: str) -> SpeakerStatistics | None:
        """What is known of a speaker: the clips of the training and those that were enrolled, together.

        Args:
            speaker: Any string; None comes back of one who is not known.

        Raises:
            DamagedError: If what was enrolled does not fit the model.
            StoreError: If the address cannot be reached.
        """
        return together(self._adaptation.known.get(speaker), self._enrolled(speaker))

    def enroll(self, speaker: str, statistics: SpeakerStatistics, *, replace: bool = False) -> KnownSpeaker:
        """Adds clips of a speaker.

        Args:
            speaker: A name of up to 128 letters, digits, `.`, `_` and `-`, of which the first is a letter or a digit.
            statistics: Of the clips, by the same model (`Predictor.listen`).
            replace: Forget what was enrolled before.

        Returns:
            What is known of the speaker now.

        Raises:
            ConfigError: If `speaker` is not a name.
            NotFoundError: If the model was deleted meanwhile, or trained again.
            DamagedError: If what was enrolled before does not fit the model; `replace` overwrites it.
            StoreError: If the address cannot be reached.
            StorageError: If the operating system does not let it be written.
        """
        check_speaker(speaker)
        with exclusive(self._lock):
            # A model is deleted first, then its speakers: none is left behind.
            now = self._training_now()
            if now is None:
                raise NotFoundError(f"model_id: no model {self._model_id!r} in {self._place}")
            if now != self._training:
                raise NotFoundError(f"model_id: {self._model_id} was trained again meanwhile; enroll in the new one")
            _sweep(self._place, self._model_id, self._training)
            before = None if replace else self._read(speaker)
            all_clips = together(before, statistics)
            self._files.write(speaker + _SUFFIX, pack_arrays(all_clips.arrays()))
        self._forget(speaker)
        return KnownSpeaker(speaker, all_clips.clips, self._training_clips(speaker))

    def list(self, *, after: str = "", at_most: int | None = None) -> list[KnownSpeaker]:
        """The speakers, sorted; those whose file is damaged are left out.

        Args:
            after: Only those that come after this one.
            at_most: How many; None for all.

        Raises:
            StoreError: If the address cannot be reached.
        """
        enrolled = {name.removesuffix(_SUFFIX) for name in self._files.files() if name.endswith(_SUFFIX)}
        found: list[KnownSpeaker] = []
        for speaker in sorted(name for name in enrolled | self._adaptation.known.keys() if name > after):
            if len(found) == at_most:
                break
            try:
                statistics = self._read(speaker) if speaker in enrolled else None
            except DamagedError:
                continue
            trained = self._training_clips(speaker)
            if statistics is not None or trained:  # else deleted meanwhile
                found.append(KnownSpeaker(speaker, statistics.clips if statistics else 0, trained))
        return found

    def delete(self, speaker: str) -> None:
        """Forgets what was enrolled of a speaker; what the model learnt in training stays.

        Raises:
            ConfigError: If `speaker` is not a name.
            NotFoundError: If nothing was enrolled.
            StoreError: If the address cannot be reached.
        """
        check_speaker(speaker)
        with exclusive(self._lock):
            there = self._files.remove(speaker + _SUFFIX)
        self._forget(speaker)
        if not there:
            raise NotFoundError(f"speaker: no clips of {speaker!r} are enrolled for model {self._model_id}")

    def _training_clips(self, speaker: str) -> int:
        trained = self._adaptation.known.get(speaker)
        return trained.clips if trained else 0

    def _enrolled(self, speaker: str) -> SpeakerStatistics | None:
        """What was enrolled, from memory while it is what the files say."""
        if not _SPEAKER.fullmatch(speaker):
            return None
        version = (
            int(time.monotonic() / self._refresh_seconds)
            if isinstance(self._files, Store)
            else self._files.version(speaker + _SUFFIX)
        )
        with self._turn:
            held = self._held.get(speaker)
            if held is not None and held[0] == version:
                self._held.move_to_end(speaker)
                return held[1]
        try:
            statistics = self._read(speaker)
        except StoreError:
            if held is None:
                raise
            statistics = held[1]  # until the store can be reached again
        with self._turn:
            self._held[speaker] = (version, statistics)
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        return statistics

    def _forget(self, speaker: str) -> None:
        with self._turn:
            self._held.pop(speaker, None)

    def _read(self, speaker: str) -> SpeakerStatistics | None:
        content = self._files.read(speaker + _SUFFIX)
        if content is None:
            return None
        where = f"{self._files.address}/{speaker}{_SUFFIX}"
        try:
            arrays = unpack_arrays(content, where)
            check_arrays(arrays, SpeakerStatistics.array_schema(len(self._adaptation.mean)), where)
            return SpeakerStatistics.from_arrays(arrays)
        except ValueError as error:
            raise DamagedError(f"{where}: {error}; enroll the speaker anew, with replace") from None
        except DamagedError as error:
            raise DamagedError(f"{error}; enroll the speaker anew, with replace") from None


def delete_speakers(model_save_path: Place, model_id: str) -> bool:
    """Forgets all who enrolled for a model, of whatever training; the model may be gone.

    Returns:
        Whether anything was kept.

    Raises:
        StorageError: If the operating system does not let them be deleted.
        StoreError: If the address cannot be reached.
    """
    files = open_place(model_save_path, _FOLDER, model_id)
    if isinstance(files, Store):
        there = bool(files.files())
        files.delete()
        return there
    if not files.folder.parent.is_dir():
        return False
    with storage_errors(files.address), exclusive(files.folder):
        there = os.path.lexists(files.folder)
        remove(files.folder)
    return there


def keep_speakers_of(model_save_path: Place, model_id: str, training: str) -> None:
    """Forgets those who enrolled for a model before it was trained as it is now.

    Args:
        model_save_path: Folder of the model's folder, or its address.
        model_id: Which model.
        training: Which training of it stays.

    Raises:
        StorageError: If the operating system does not let them be deleted.
        StoreError: If the address cannot be reached.
    """
    files = open_place(model_save_path, _FOLDER, model_id)
    if isinstance(files, Store) or files.files():
        with exclusive(_lock(model_save_path, model_id)):
            _sweep(model_save_path, model_id, training)


def _sweep(model_save_path: Place, model_id: str, training: str) -> None:
    """Removes what other trainings and killed enrolments left; the caller holds the lock of the model's speakers."""
    files = open_place(model_save_path, _FOLDER, model_id)
    if isinstance(files, Store):
        for name in files.files():
            if not name.startswith(f"{training}/"):
                files.remove(name)
        return
    with storage_errors(files.address):
        for name in files.files():
            if name != training:
                remove(files.folder / name)
    sweep(files.folder / training, alone=True)


def _lock(model_save_path: Place, model_id: str) -> Path:
    """What writers hold the lock of: one a model, beside its files, so that they can be deleted together."""
    place = os.fspath(model_save_path)
    return (cache_folder(place) if is_address(place) else local_path(place)) / _FOLDER / model_id


def check_speaker(speaker: str) -> None:
    """Refuses what is not a name.

    Raises:
        ConfigError: If it is not.
    """
    if not _SPEAKER.fullmatch(speaker):
        expected = "expected a name of up to 128 letters, digits, '.', '_' and '-' that begins with a letter or a digit"
        raise ConfigError([FieldViolation("speaker", f"{expected}, got {speaker[:200]!r}")])
