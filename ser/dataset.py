"""`Dataset`: one corpus or several in a folder of yours, from the zip to the features, one stage at a time.

Stages build on each other and run what they need; each keeps its result under `data_path` and does nothing
when the result is there and its inputs have not changed:

    <data_path>/download/<source>/    a zip, or a corpora file, and what it is
    <data_path>/corpus/<content>/     the audio files and corpus.json
    <data_path>/features/<config>/    feature rows, sample table, front-end
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.audio.recordings import Samples
from ser.config import parse
from ser.corpora import folder as corpus_folder
from ser.corpora.folder import Clip
from ser.corpora.stages import CorpusStages
from ser.extras import require
from ser.features.feature_set import FeatureSet
from ser.features.frontend import FrontEnd
from ser.models import MODEL_TYPES
from ser.progress import Reporter, silent
from ser.request import DownloadConfig, FeatureConfig
from ser.steps.feature_extraction import (
    check_encoders,
    extract_features,
    feature_identity,
    load_features,
    load_frontend,
    piece_length,
)
from ser.storage.access import Access
from ser.storage.archive import Limits
from ser.storage.strict_json import fingerprint


class Dataset(CorpusStages):
    """A corpus, or several as one, and the features.

    Example:
        >>> dataset = Dataset("data", "embedded:")  # doctest: +SKIP
        >>> dataset.load(split_at="avg")  # doctest: +SKIP
        >>> dataset.get_features().rows.shape  # doctest: +SKIP

    Every stage takes `force`: true does this stage again even though its result is there. A stage that fails
    leaves the results that were there before.
    """

    def __init__(
        self,
        data_path: str | os.PathLike[str],
        remote_url: str,
        *,
        limits: Limits | None = None,
        access: Access | None = None,
        report: Reporter = silent,
    ) -> None:
        """Names the folder and the source; touches neither.

        Args:
            data_path: Folder that everything is kept in; made when it is needed. Of an address in an object store, as
                `s3://bucket/data`, the zip and the features are kept there, and everything in a local cache.
            remote_url: Where the corpus resides, as a zip or a folder: http(s)://, file://, a path, or `embedded:`; or
                where the corpora file resides that names several (`ser.corpora.corpora_file`).
            limits: Sizes allowed, of all corpora together.
            access: Addresses allowed, those in a corpora file too; by default all.
            report: Told of the progress of each stage.

        Raises:
            ConfigError: If `remote_url` is of no known form.
            ForbiddenError: If `access` does not allow it.
        """
        config = DownloadConfig(data_path=os.fspath(data_path), remote_url=remote_url)
        super().__init__(config.data_path, config.remote_url, limits=limits, access=access, report=report)
        self._config = FeatureConfig()

    def load(
        self, split_at: str | int = "min", normalize: bool = True, *, force: bool = False
    ) -> Iterator[tuple[Clip, Samples]]:
        """Sets how clips are loaded for features, and gives the decoded clips.

        Args:
            split_at: Length of the pieces that clips are cut into: "min", "max", "avg" or samples.
            normalize: Divide each clip by its peak.
            force: Prepare the corpus again: decode and check all files anew.

        Returns:
            An iterator over clips and their samples, float32 at 16 kHz, neither normalised nor cut; it
            decodes as it goes.

        Raises:
            ConfigError: If `split_at` or `normalize` is not allowed.
        """
        self._config = parse(
            FeatureConfig,
            {
                **self._config.model_dump(),
                "dataset_load_split_at": split_at,
                "dataset_load_normalize": normalize,
            },
        )
        return self._decoded(self.prepare(force=force))

    def __len__(self) -> int:
        """How many clips there are; the corpus is prepared first, where it is not."""
        return len(self.prepare().clips)

    def __iter__(self) -> Iterator[tuple[Clip, Samples]]:
        """The clips and their samples, see `load`; decoded as it goes."""
        return self._decoded(self.prepare())

    def _decoded(self, manifest: corpus_folder.Manifest) -> Iterator[tuple[Clip, Samples]]:
        folder = self.extract()
        return ((clip, corpus_folder.read_clip(folder, clip)) for clip in manifest.clips)

    def __repr__(self) -> str:
        """Where it comes from, without what is secret in it, and where it is kept: fetches nothing."""
        return f"Dataset({self._source.description!r}, in {str(self.data_path)!r})"

    @property
    def piece_samples(self) -> int:
        """Length of a piece, in samples, with the settings of `load`."""
        return piece_length(self._config.dataset_load_split_at, self.prepare().clips)

    def feature_extract(
        self, methods: Mapping[str, Any] | None = None, *, virtual_speakers: int | None = None, force: bool = False
    ) -> Path:
        """Computes the features of all clips.

        Args:
            methods: Name of each extractor to its config; by default the methods given last, at first
                `SpeakerAndGenderAndTextType` and `MFCC`.
            virtual_speakers: How many virtual speakers say each clip as well; by default as many as last, first none.
            force: Compute them again although they are there.

        Returns:
            The feature folder.

        Raises:
            ConfigError: If a method or a key of its config is unknown, or a value is not allowed.
            MissingExtraError: If the extra `features` is not installed.
            MissingEncoderError: If an encoder that a method extracts by is not on this machine; nothing is fetched.
        """
        given = {"dataset_feature_extract_methods": methods, "dataset_virtual_speakers": virtual_speakers}
        given = {name: value for name, value in given.items() if value is not None}
        self._config = parse(FeatureConfig, {**self._config.model_dump(), **given})
        require("extracting features", "features")
        check_encoders(self._config)
        manifest = self.prepare()
        identity = feature_identity(manifest, self._config)
        with self.kept(f"features/{fingerprint(identity)[:16]}", identity, force=force) as folder:
            extract_features(self.extract(), folder, self._config, force=force, report=self._report)
        return folder

    def features_of(
        self,
        request: FeatureConfig,
        *,
        force: bool = False,
        check: Callable[[Sequence[Clip]], object] | None = None,
    ) -> Path:
        """All stages with the settings of a request.

        Args:
            request: How clips are loaded, and the methods.
            force: Do every stage again.
            check: Called with the clips before features are extracted of them; what it raises ends the work.

        Returns:
            The feature folder.

        Raises:
            MissingEncoderError: If an encoder that a method extracts by is not on this machine; nothing is fetched.
        """
        check_encoders(request)
        self.download(force=force)
        self.extract(force=force)
        self.load(request.dataset_load_split_at, request.dataset_load_normalize, force=force)
        if check is not None:
            check(self.prepare().clips)
        return self.feature_extract(
            request.dataset_feature_extract_methods, virtual_speakers=request.dataset_virtual_speakers, force=force
        )

    def features_for(self, model_type: str, *, force: bool = False) -> Path:
        """All stages with the settings that a model type has where nothing else is asked for.

        Args:
            model_type: Registered name of the model type.
            force: Do every stage again.

        Returns:
            The feature folder, as `Trainer(model_type).train` takes it.

        Raises:
            ConfigError: If there is no such model type.
            MissingEncoderError: As `features_of`.
        """
        front_end = MODEL_TYPES.get(model_type, field="model_type").front_end
        return self.features_of(parse(FeatureConfig, front_end), force=force)

    def get_features(self, *, force: bool = False) -> FeatureSet:
        """The features and labels of all clips, rows memory-mapped; computed first where they are missing."""
        return load_features(self.feature_extract(force=force))

    def frontend(self) -> FrontEnd:
        """The front-end that makes these features of any recording."""
        return load_frontend(self.feature_extract())
